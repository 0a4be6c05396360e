"""Killed anywhere, an effect is done again only under the key of its first time, or not at all if that is its policy.

The flow's effects are programs, Python functions and requests; each leaves its name and its key in one place.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from flowmetal.journal.wrapped_store import Moment
from flowmetal.testing.zygote import Life, Zygote, zygote
from flowmetal.values import unpack

HERE = Path(__file__).parent
FLOW = HERE / "effects" / "world.flow"
NAMES = {"program", "function", "function-task", "request", "request-task", "fails", "never"}


class Server(ThreadingHTTPServer):
    """Notes the path and the key of each request, by the run's directory."""

    daemon_threads = True
    seen: dict[str, list[tuple[str, str]]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        _, place, name = self.path.split("/")
        self.server.seen[place].append((name, self.headers["Idempotency-Key"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    made.seen = defaultdict(list)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(scope="module")
def lives() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


@dataclass
class Run:
    """One run in a directory of its own, in as many lives as it takes."""

    directory: Path
    server: Server
    lives: Zygote
    deaths: int = 0
    commits: int = 0
    result: list[object] = field(default_factory=list)

    def carry(self, commit: int = 0, moment: Moment = "before") -> None:
        """Lives until it has ended; the first life dies at the commit."""
        base = self.directory / "base"
        base.mkdir(parents=True)
        (self.directory / "home").mkdir()
        shutil.copy(HERE / "kill_keys.py", base)
        port = self.server.server_port
        url = f"http://127.0.0.1:{port}/{self.directory.name}"
        (base / "where.json").write_text(json.dumps([str(base / "keys.txt"), url]))
        allow = ["read=.", "exec=sh", "call=kill_keys", f"net=127.0.0.1:{port}/POST"]
        for _ in range(4):
            life = Life(
                str(self.directory / "home"), str(base), str(FLOW), fatal_commit=commit, moment=moment, allow=allow
            )
            death = self.lives.live(life)
            commit = 0
            if not death.signal:
                assert death.result, death.error
                self.commits = death.commits
                ok, value, error = unpack(bytes.fromhex(death.result))["result"]
                assert ok, error
                self.result = value
                return
            self.deaths += 1
        raise AssertionError("it does not come to its end")

    def keys(self) -> dict[str, list[str]]:
        """The keys under which each thing was done."""
        found: dict[str, list[str]] = defaultdict(list)
        lines = (self.directory / "base" / "keys.txt").read_text().splitlines()
        for name, key in [*(line.split() for line in lines), *self.server.seen[self.directory.name]]:
            found[name].append(key)
        return found


def check(run: Run, most: int) -> None:
    keys = run.keys()
    assert run.result == ["effect", True]
    # What is never repeated may have died before it did anything.
    assert keys.keys() | {"never"} == NAMES
    assert len(keys["never"]) <= 1
    for name, of_name in keys.items():
        assert len(set(of_name)) <= 1, f"{name} was done under several keys: {of_name}"
        assert len(of_name) <= (2 if name == "fails" else 1) + most, f"{name}: {of_name}"
    assert len({key for of_name in keys.values() for key in of_name}) == len([name for name in keys if keys[name]])


def points(commits: int) -> list[tuple[int, Moment]]:
    return [(commit, moment) for commit in range(1, commits + 1) for moment in ("before", "after")]  # type: ignore[misc]


def test_effects_are_repeated_under_their_key_only(tmp_path: Path, server: Server, lives: Zygote) -> None:
    calm = Run(tmp_path / f"{tmp_path.name}-calm", server, lives)
    calm.carry()
    check(calm, 0)
    assert all(len(keys) == (2 if name == "fails" else 1) for name, keys in calm.keys().items())
    chosen = points(calm.commits)[1::5]
    assert len(chosen) >= 3
    for at, (commit, moment) in enumerate(chosen):
        run = Run(tmp_path / f"{tmp_path.name}-{at}", server, lives)
        run.carry(commit, moment)
        assert run.deaths <= 1
        check(run, run.deaths)


@pytest.mark.torture
def test_effects_are_repeated_under_their_key_only_at_every_commit(
    tmp_path: Path, server: Server, lives: Zygote
) -> None:
    calm = Run(tmp_path / f"{tmp_path.name}-all", server, lives)
    calm.carry()
    for at, (commit, moment) in enumerate(points(calm.commits)):
        run = Run(tmp_path / f"{tmp_path.name}-every-{at}", server, lives)
        run.carry(commit, moment)
        check(run, run.deaths)
