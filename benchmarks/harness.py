"""What the cases measure with: a flow on an engine of its own in this process, and the command line in processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmetal.assembly import locate_program, open_engine
from flowmetal.engine.engine import Engine
from flowmetal.engine.starting import RunRequest
from flowmetal.permissions.grants import parse_grants
from flowmetal.places import open_journal
from flowmetal.settings import Limits
from flowmetal.values import from_python, is_ok_packed, pack, to_text, unpack

FLOWS = Path(__file__).parent / "flows"
_SAMPLE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from a run's start until its durable end; peak resident bytes of engine and worker; journal bytes.

    ``private_bytes`` is the peak of both without pages of files, such as the journal's, which the kernel drops at need.
    """

    seconds: float
    engine_bytes: int
    worker_bytes: int
    journal_bytes: int
    private_bytes: int


@contextlib.contextmanager
def temporary_place() -> Iterator[Path]:
    """A directory with ``work`` in it, removed at the end."""
    place = Path(tempfile.mkdtemp(prefix="flowmetal-bench-"))
    (place / "work").mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place)


def run_flow(
    name: str, arguments: dict[str, Any] | None = None, *, flow: str = "", limits: Limits | None = None
) -> Measured:
    """Runs ``flows/NAME.flow``, its body or one flow of it; fails unless it ends in Ok."""
    with temporary_place() as place:
        return asyncio.run(_run(place, name, arguments or {}, flow, limits or Limits()))


async def _run(place: Path, name: str, arguments: dict[str, Any], flow: str, limits: Limits) -> Measured:
    journal = open_journal(place / "home")
    engine = open_engine(journal)
    try:
        label, sources = locate_program(str(FLOWS / f"{name}.flow"))
        program = await engine.load(label, sources, limits)
        pairs = [part for key, value in arguments.items() for part in (key, from_python(value))]
        work = str(place / "work")
        grants = parse_grants([f"write={work}"], [], work)
        reference = f"{label}:{flow}" if flow else ""
        peak = [0, 0, 0]
        sampler = asyncio.ensure_future(_sample(engine, peak))
        begin = time.perf_counter()
        engine.begin(program, RunRequest("bench", reference, flow or name, pack([[], pairs]), grants, work))
        outcome = await engine.outcome("bench")
        seconds = time.perf_counter() - begin
        sampler.cancel()
        if outcome.value is None or not is_ok_packed(outcome.value):
            raise RuntimeError(
                outcome.error.show() if outcome.error else to_text(unpack(outcome.value or b"\xc0"), 500)
            )
        return Measured(seconds, peak[0], peak[1], journal.store.size_bytes(), peak[2])
    finally:
        engine.close()
        journal.store.close()


async def _sample(engine: Engine, peak: list[int]) -> None:
    while True:
        peak[0] = max(peak[0], resident_bytes(os.getpid()))
        peak[1] = max(peak[1], sum(resident_bytes(pid) for pid in engine.worker_pids()))
        peak[2] = max(peak[2], sum(private_bytes(pid) for pid in [os.getpid(), *engine.worker_pids()]))
        await asyncio.sleep(_SAMPLE_SECONDS)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not tell."""
    return _statm(pid)[0]


def private_bytes(pid: int) -> int:
    """Resident memory of a process that is no file's; 0 where the system does not tell."""
    resident, of_files = _statm(pid)
    return resident - of_files


def _statm(pid: int) -> tuple[int, int]:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0, 0
    page = os.sysconf("SC_PAGE_SIZE")
    return int(fields[1]) * page, int(fields[2]) * page


def command(place: Path, *arguments: str) -> list[str]:
    """A ``flowmetal`` command line on the home of a place."""
    return [sys.executable, "-m", "flowmetal", *arguments, "--home", str(place / "home")]


def timed_command(place: Path, *arguments: str) -> float:
    """Seconds of a whole ``flowmetal`` process; fails unless it exits 0."""
    begin = time.perf_counter()
    subprocess.run(
        command(place, *arguments), cwd=place / "work", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    return time.perf_counter() - begin


def kill_when(place: Path, ready: Callable[[], bool], *arguments: str) -> None:
    """Starts a ``flowmetal`` process and ends it with SIGKILL as soon as ``ready`` says so."""
    kill_process_when(ready, command(place, *arguments), place / "work")


def kill_process_when(
    ready: Callable[[], bool], arguments: list[str], directory: Path, environment: dict[str, str] | None = None
) -> None:
    """Starts any process and ends it with SIGKILL as soon as ``ready`` says so."""
    process = subprocess.Popen(
        arguments,
        cwd=directory,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not ready():
        if process.poll() is not None:
            raise RuntimeError("the process ended before it could be killed")
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
