"""Engine processes by the dozen: a process that has imported everything forks one for each *life* that is asked for.

``python -m flowmetal.testing.zygote`` reads a life a line from stdin, as JSON, and answers each with a line.  A life
starts or takes up one run and ends with it, unless it is killed on the way, which is what it is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flowmetal.engine.launching import Launched
from flowmetal.journal.wrapped_store import Moment
from flowmetal.settings import Limits
from flowmetal.testing.crashing import crashing_store
from flowmetal.testing.forked_workers import forked_workers
from flowmetal.testing.harness import Lab, in_loop, open_store
from flowmetal.testing.workers import FrameKiller

Launch = Callable[[Limits], Launched]

_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Life:
    """What one engine process is to do, and where it is to die.

    ``fatal_commit`` is the number of a commit (0: none); at the messages numbered ``fatal_frames`` a worker dies.
    """

    home: str
    base: str
    flow: str
    run_id: str = "r"
    fatal_commit: int = 0
    moment: Moment = "before"
    fatal_frames: list[int] = field(default_factory=list)
    limits: dict[str, Any] = field(default_factory=dict)
    allow: list[str] = field(default_factory=lambda: ["read=.", "write=."])
    seconds: float = 30.0


@dataclass(frozen=True)
class Death:
    """How a life ended.

    ``signal`` is 0 when it came to its end; ``result`` is the Result's bytes in hex, ``error`` what stopped it.
    """

    signal: int
    result: str = ""
    error: str = ""
    commits: int = 0
    frames: int = 0


class Zygote:
    """The process that forks, seen from a test; one life at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "flowmetal.testing.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_CHECKOUT,
        )

    def live(self, life: Life) -> Death:
        """Has one life lived."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(life)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return Death(**json.loads(answer))

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@contextlib.contextmanager
def zygote() -> Iterator[Zygote]:
    """A zygote, ended at the end."""
    process = Zygote()
    try:
        yield process
    finally:
        process.close()


def _live(life: Life, launch: Launch) -> Death:
    killer = FrameKiller(set(life.fatal_frames))
    killer.launch = launch
    store = crashing_store(open_store(Path(life.home)), life.fatal_commit, life.moment)
    limits, allow = Limits.from_data(life.limits), tuple(life.allow)
    lab = Lab(Path(life.home), Path(life.base), store, limits, spawn=killer, allow=allow)

    async def run() -> Death:
        with lab.engine() as engine:
            header = lab.journal.header(life.run_id)
            if header is None:
                await lab.start(engine, Path(life.flow), life.run_id)
            else:
                header = engine.adopt(life.run_id)
            if header is not None and header.is_finished:
                value: bytes | None = lab.journal.payload(life.run_id, header.result)
                error = None
            else:
                try:
                    outcome = await asyncio.wait_for(engine.outcome(life.run_id), life.seconds)
                finally:
                    await engine.stop()
                value, error = outcome.value, outcome.error
        return Death(0, (value or b"").hex(), error.show() if error else "", store.commits, killer.count)

    try:
        return in_loop(run)
    except Exception as error:
        return Death(0, "", f"{type(error).__name__}: {error}", store.commits, killer.count)
    finally:
        store.close()


def _fork(life: Life, launch: Launch) -> Death:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = json.dumps(asdict(_live(life, launch))).encode()
        except BaseException as error:
            answer = json.dumps(asdict(Death(0, "", repr(error)))).encode()
        os.write(writing, answer)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Death(os.WTERMSIG(status))
    return Death(**json.loads(answer))


def main() -> None:
    """Answers until stdin ends."""
    with forked_workers() as launch:
        for line in sys.stdin:
            print(json.dumps(asdict(_fork(Life(**json.loads(line)), launch))), flush=True)


if __name__ == "__main__":
    main()
