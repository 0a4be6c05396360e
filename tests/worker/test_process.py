"""What a worker process has and has not."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.process import WorkerProcess
from flowmetal.settings import MIB, Limits
from flowmetal.testing.harness import Lab, in_loop

CHECKOUT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, which Linux has")

SLEEPING = 'if __name__ == "__flow__":\n    sleep("1h")\n'
COMPUTING = 'def f():\n    for _ in forever():\n        pass\n\nif __name__ == "__flow__":\n    f()\n'
STUCK = """
def f():
    number = 3
    for _ in range(25):
        number = number * number
    return len(str(number))

if __name__ == "__flow__":
    f()
"""


def proc(pid: int, name: str) -> Path:
    """A file of a process, which only its owner may read when the process cannot be traced."""
    path = Path(f"/proc/{pid}/{name}")
    try:
        os.listdir(path) if path.is_dir() else path.read_bytes()
    except PermissionError:
        pytest.skip(f"{name} of a process that cannot be traced is for root alone")
    return path


def with_worker(lab: Lab, look: Any) -> None:
    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, SLEEPING)
            await asyncio.sleep(0.1)
            (pid,) = engine.worker_pids()
            look(pid)

    in_loop(life)


@LINUX
def test_a_worker_has_no_files_but_its_socket(lab: Lab, tmp_path: Path) -> None:
    """Also not those that a careless program opened without close-on-exec."""
    ours = os.open(tmp_path / "secret", os.O_CREAT | os.O_RDWR)
    listening = socket.socket()
    try:
        for descriptor in (ours, listening.fileno()):
            os.set_inheritable(descriptor, True)

        def look(pid: int) -> None:
            found = {name: os.readlink(proc(pid, "fd") / name) for name in os.listdir(proc(pid, "fd"))}
            assert {found.pop(name) for name in ("0", "1", "2")} == {"/dev/null"}
            assert len(found) == 1, found
            assert next(iter(found.values())).startswith("socket:")

        with_worker(lab, look)
    finally:
        os.close(ours)
        listening.close()


@LINUX
def test_a_worker_has_no_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWMETAL_TEST_SECRET", "hush")

    def look(pid: int) -> None:
        entries = [entry for entry in proc(pid, "environ").read_bytes().split(b"\0") if entry]
        assert {entry.partition(b"=")[0] for entry in entries} == {b"MALLOC_ARENA_MAX", b"PYTHONHASHSEED", b"LC_ALL"}
        assert os.readlink(proc(pid, "") / "cwd") == "/"

    with_worker(lab, look)


@LINUX
def test_a_worker_has_limits(lab: Lab) -> None:
    lab.limits = Limits(address_space_bytes=300 * MIB, cpu_seconds=7)

    def look(pid: int) -> None:
        assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
        assert resource.prlimit(pid, resource.RLIMIT_AS) == (300 * MIB, 300 * MIB)
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (0, 0)
        assert 7 <= resource.prlimit(pid, resource.RLIMIT_CPU)[0] <= 12
        status = proc(pid, "status").read_text()
        assert "NoNewPrivs:\t1" in status

    with_worker(lab, look)


@contextmanager
def engine_process(tmp_path: Path, text: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    flow = tmp_path / "main.flow"
    flow.write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.engine_process", str(tmp_path), str(flow)],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        (pid,) = map(int, process.stdout.readline().split())
        yield process, pid
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


@pytest.mark.parametrize("text", [SLEEPING, COMPUTING, STUCK], ids=["sleeping", "computing", "stuck"])
def test_a_worker_ends_with_its_engine(tmp_path: Path, text: str) -> None:
    if text is STUCK and sys.platform != "linux":
        pytest.skip("only Linux ends a process that holds its interpreter's lock; elsewhere its processor limit does")
    with engine_process(tmp_path, text) as (process, pid):
        assert not is_gone(pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        ends = time.monotonic() + 10
        while not is_gone(pid):
            assert time.monotonic() < ends, "the worker outlives its engine"
            time.sleep(0.01)


def test_a_worker_is_gone_when_its_engine_is_closed(lab: Lab) -> None:
    pids = []
    with_worker(lab, pids.append)
    assert is_gone(pids[0])


def test_one_that_has_been_stopped_has_nothing_more_to_say(lab: Lab) -> None:
    """Whoever looks at all workers may come upon one that has just ended."""

    async def life() -> None:
        worker = WorkerProcess(Limits(), lambda *_: None, lambda *_: None)
        worker.stop()
        assert worker.is_heard_out

    in_loop(life)
