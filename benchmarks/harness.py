"""Runs a flow on an engine of its own, in this process, on a fresh home: what every case measures with."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmetal.assembly import locate_program, open_engine, open_journal
from flowmetal.engine.engine import Engine
from flowmetal.engine.starting import RunRequest
from flowmetal.permissions.grants import parse_grants
from flowmetal.settings import Limits
from flowmetal.values import from_python, is_ok_packed, pack, to_text, unpack

FLOWS = Path(__file__).parent / "flows"


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds from the start of the run until its durable end, and the resident bytes of engine and worker."""

    seconds: float
    worker_bytes: int
    engine_bytes: int


def run_flow(
    name: str, arguments: dict[str, Any] | None = None, *, flow: str = "", run_id: str = "bench", watch: Callable[[], None] | None = None
) -> Measured:
    """Runs ``flows/NAME.flow``, its body or one flow of it, and fails unless it ends in Ok."""
    home = Path(tempfile.mkdtemp(prefix="flowmetal-bench-"))
    try:
        return asyncio.run(_run(home, name, arguments or {}, flow, run_id))
    finally:
        shutil.rmtree(home)


async def _run(home: Path, name: str, arguments: dict[str, Any], flow: str, run_id: str) -> Measured:
    journal = open_journal(home)
    engine = open_engine(journal)
    try:
        label, sources = locate_program(str(FLOWS / f"{name}.flow"))
        program = await engine.load(label, sources, Limits())
        pairs: list[Any] = []
        for key, value in arguments.items():
            pairs += (key, from_python(value))
        grants = parse_grants([f"write={home}"], [], str(home))
        (home / "work").mkdir()
        grants = parse_grants([f"write={home / 'work'}"], [], str(home / "work"))
        reference = f"{label}:{flow}" if flow else ""
        request = RunRequest(run_id, reference, flow or name, pack([[], pairs]), grants, str(home / "work"))
        begin = time.perf_counter()
        engine.begin(program, request)
        outcome = await engine.outcome(run_id)
        seconds = time.perf_counter() - begin
        if outcome.value is None or not is_ok_packed(outcome.value):
            raise RuntimeError(outcome.error.show() if outcome.error else to_text(unpack(outcome.value or b"\xc0"), 500))
        return Measured(seconds, resident_bytes(_worker_pid(engine)), resident_bytes())
    finally:
        engine.close()
        journal.store.close()


def _worker_pid(engine: Engine) -> int:
    return next(iter(engine.worker_pids()), 0)


def resident_bytes(pid: int | str = "self") -> int:
    """Resident memory of a process in bytes; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * 4096
