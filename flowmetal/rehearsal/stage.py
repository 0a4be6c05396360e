"""A stage for test files: one engine and one worker for all tests of a file, and for each test a world of its own.

A test is a root run without any grant.  Its time begins at the same moment and stands still while anything is being
done.  A stage on which something went wrong (a test that did not end, a fault) is not used again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowmetal.assembly import home_path, open_pretence, pretend, registry
from flowmetal.clock import SimulatedClock
from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.launching import Launched
from flowmetal.engine.starting import RunRequest
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError
from flowmetal.journal.journal import Journal
from flowmetal.permissions.decision import decide_all
from flowmetal.permissions.grants import GrantSet
from flowmetal.rehearsal.collecting import MAIN, TestFile
from flowmetal.rehearsal.script import World, scripted
from flowmetal.settings import Limits, format_duration
from flowmetal.values import Failure, Wire, err, is_ok, ok, pack, unpack

START: Final = 1_893_456_000.0
"""When every test begins: 2030-01-01T00:00:00Z."""

_NO_ARGS: Final = pack([[], []])


@dataclass(frozen=True, slots=True)
class Tested:
    """How one test came out: ``result`` is a Result, ``error`` what stopped it instead."""

    name: str
    run_id: str
    result: Wire
    world: World
    seconds: float
    error: FlowmetalError | None = None

    @property
    def passed(self) -> bool:
        """Whether it is Ok, and the test had foreseen every effect."""
        return self.error is None and is_ok(self.result) and not self.world.missing


class Stage:
    """One engine; see ``on_stage``."""

    def __init__(self, engine: Engine, journal: Journal, clock: SimulatedClock, world: list[World]) -> None:
        self.journal = journal
        self.is_spoilt = False
        self._engine = engine
        self._clock = clock
        self._world = world
        self._program: ProgramState | None = None

    async def load(self, file: TestFile, limits: Limits) -> None:
        """Loads a test file.

        Raises:
            LanguageError: it cannot be loaded.
        """
        self._program = await self._engine.load(MAIN, file.sources, limits)

    async def run(self, name: str, base_dir: str, timeout_seconds: float) -> Tested:
        """Runs one test of the file that is loaded."""
        assert self._program is not None
        began = time.perf_counter()
        world = self._world[0] = World()
        self._clock.rewind()
        flow = next(each for each in self._program.flows.values() if each.label == MAIN and each.name == name)
        request = RunRequest(name, flow.reference, name, _NO_ARGS, GrantSet(), base_dir)
        self._engine.begin(self._program, request)
        result: Wire = None
        error: FlowmetalError | None = None
        try:
            outcome = await asyncio.wait_for(self._engine.outcome(name), timeout_seconds)
        except TimeoutError:
            self.is_spoilt = True
            message = f"{name} was not done after {format_duration(timeout_seconds)} of real time"
            result = err(Failure("timeout", message, flow=name))
        else:
            result, error = _result_of(outcome)
            self.is_spoilt = error is not None
        await self._clear()
        return Tested(name, name, result, world, time.perf_counter() - began, error)

    async def _clear(self) -> None:
        """Ends what the test has left behind: runs that are detached."""
        for root_id in self._engine.owned:
            self._engine.cancel(root_id, "its test has ended")


def _result_of(outcome: Outcome) -> tuple[Wire, FlowmetalError | None]:
    if outcome.error is not None:
        return None, outcome.error
    return unpack(outcome.value) if outcome.value is not None else ok(), None


@contextmanager
def on_stage(scratch: Path, spare: Launched | None = None) -> Iterator[Stage]:
    """A stage within the running event loop; ``scratch`` is an empty directory, ``spare`` a worker that comes up."""
    clock = SimulatedClock(START)
    journal = open_pretence(scratch, clock)
    world = [World()]
    engine = pretend(journal, home_path(None), scripted(registry(), lambda: world[0]), clock, decide_all, spare)
    try:
        yield Stage(engine, journal, clock, world)
    finally:
        engine.close()
