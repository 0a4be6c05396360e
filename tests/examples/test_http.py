"""The example of HTTP, and what the command shows of requests, with servers on loopback and real runs."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).absolute().parents[2]
TOKEN = "report-token-123456"
FILES = {"a.txt": b"a" * 200_000, "b ä.bin": os.urandom(300_000), "empty": b""}


@dataclass
class Site:
    """What a server has and saw; ``answers`` are given before anything else, one for each request of a path."""

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    stall: threading.Event | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, path: str) -> list[dict[str, str]]:
        return [headers for _, asked, headers, _ in self.seen if asked == path]


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            site.seen.append((self.command, self.path, headers, body))
            left = site.answers.get(self.path, [])
            status, more = left.pop(0) if left else (200, {})
            data = site.files.get(self.path, body) if status == 200 else b"later"
            self.send_response(status)
            kind = "application/json" if self.path.endswith(".json") else "application/octet-stream"
            for name, value in {**more, "Content-Type": kind, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if site.stall is not None and self.path != "/index.json":
                self.wfile.write(data[: len(data) // 2])
                site.stall.wait(60)
                return
            self.wfile.write(data)

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield site
    finally:
        if site.stall is not None:
            site.stall.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT),
        "FLOWMETAL_HOME": str(tmp_path / "home"),
        "FLOWMETAL_DURABILITY": "os",
        "REPORT_TOKEN": TOKEN,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "flowmetal", *arguments]


def run(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Unclosed" not in done.stderr, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(CHECKOUT / "examples" / "http", tmp_path / "http", ignore=shutil.ignore_patterns("out"))
    (tmp_path / "http" / "out").mkdir()
    return tmp_path / "http"


def listed() -> Site:
    names = {name: f"/{name.replace(' ', '%20').replace('ä', '%C3%A4')}" for name in FILES}
    index = {"files": [{"name": name, "sha256": hashlib.sha256(data).hexdigest()} for name, data in FILES.items()]}
    files = {names[name]: data for name, data in FILES.items()}
    return Site(files={**files, "/index.json": json.dumps(index).encode()}, answers={})


def test_the_mirror(environment: dict[str, str], folder: Path) -> None:
    site = listed()
    site.answers = {"/a.txt": [(503, {"Retry-After": "1"})], "/report": [(500, {})]}
    with serving(site):
        site.files["/index.json"] = site.files["/index.json"].replace(b"}]}", b'}, {"name": "../x", "sha256": ""}]}')
        done = run(
            environment, folder, "run", "mirror.flow:mirror", "--id", "m", "--url", site.url, "--report-to",
            f"{site.url}/report", "--allow", f"net=127.0.0.1:{site.port}", "--allow", "write=out", "--allow",
            f"secret=REPORT_TOKEN@127.0.0.1:{site.port}",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"bytes": 500_000, "failed": ["../x"]}
    assert {path.name: path.read_bytes() for path in (folder / "out").iterdir()} == FILES
    reports = [(headers, body) for _, path, headers, body in site.seen if path == "/report"]
    assert [json.loads(body) for _, body in reports] == [{"bytes": 500_000, "failed": ["../x"]}] * 2
    assert {headers["authorization"] for headers, _ in reports} == {f"Bearer {TOKEN}"}
    assert len({headers["idempotency-key"] for headers, _ in reports}) == 1, "one action, one key"
    log = run(environment, folder, "log", "m").stdout
    assert "503" in log
    shown = log + run(environment, folder, "export", "m").stdout + done.stdout + done.stderr
    assert TOKEN not in shown
    for path in Path(environment["FLOWMETAL_HOME"]).rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()


def test_what_is_not_granted_is_told_with_the_option_to_add(environment: dict[str, str], folder: Path) -> None:
    with serving(listed()) as site:
        done = run(environment, folder, "run", "mirror.flow:mirror", "--url", site.url)
        assert done.returncode == 1
        told = re.search(r"GET 127.0.0.1:\d+ is not granted: add (--allow \S+)", done.stderr)
        assert told, done.stderr
        assert site.seen == []
        option = told[1].split()
        done = run(environment, folder, "run", "mirror.flow:mirror", "--url", site.url, *option)
        assert json.loads(done.stdout)["failed"] == list(FILES), "they need a grant to write"


def test_a_kill_in_the_middle_of_a_download(environment: dict[str, str], folder: Path) -> None:
    site = listed()
    site.stall = threading.Event()
    with serving(site):
        arguments = ["--url", site.url, "--allow", f"net=127.0.0.1:{site.port}", "--allow", "write=out"]
        process = subprocess.Popen(
            command("run", "mirror.flow:mirror", "--id", "k", *arguments),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            limit = time.monotonic() + 60
            while len(list((folder / "out").glob(".flowmetal-*"))) < 2:
                assert time.monotonic() < limit
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        assert not list((folder / "out").glob("*.*[!p]"))
        stall, site.stall = site.stall, None
        stall.set()
        done = run(environment, folder, "resume", "k")
        assert json.loads(done.stdout) == {"bytes": 500_000, "failed": []}, done.stderr
        assert {path.name: path.read_bytes() for path in (folder / "out").iterdir()} == FILES
        assert len(site.of("/index.json")) == 1, "what is recorded is not asked again"


LATE = """
def _main(fctx: FlowContext) -> list:
    url = fctx.args.url
    late = fctx.actions.http.post(url + "/late", text = "x", timeout = "700ms", save_to = "out/late")
    task = fctx.actions.run(effects.http.get, url + "/slow")
    fctx.actions.sleep("300ms")
    fctx.actions.cancel(task)
    slow = fctx.actions.wait(task)
    return [late.error.kind, late.error.details["may_have_run"], slow.error.kind]

main = flow(_main, args = {"url": args.string()})
"""


def test_what_is_late_or_cancelled_leaves_nothing(environment: dict[str, str], folder: Path) -> None:
    (folder / "late.flow").write_text(LATE, encoding="utf-8")
    site = Site(files={"/late": b"x" * 100, "/slow": b"y" * 100}, stall=threading.Event())
    with serving(site):
        grants = ["--allow", f"net=127.0.0.1:{site.port}", "--allow", "write=out"]
        done = run(environment, folder, "run", "late.flow:main", "--url", site.url, *grants)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ["timeout", True, "cancelled"]
        assert not list((folder / "out").iterdir())


def test_a_misspelt_member_is_told(environment: dict[str, str], folder: Path) -> None:
    text = "def _main(fctx):\n    fctx.actions.http.gett('http://h/')\n    return effects.http.putt\n\n"
    text += "main = flow(_main)\n"
    (folder / "odd.flow").write_text(text, encoding="utf-8")
    done = run(environment, folder, "check", "odd.flow")
    assert done.returncode != 0
    assert "`fctx.actions.http` has no `gett`, did you mean `get`?" in done.stdout + done.stderr
    assert "`effects.http` has no `putt`, did you mean `put`?" in done.stdout + done.stderr
