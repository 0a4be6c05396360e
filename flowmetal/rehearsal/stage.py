"""A stage for test files: one engine and one worker for all tests of a file, and for each test a world of its own.

A test is a root run without any grant.  Its time begins at the same moment and stands still while anything is being
done; what is random in it is the same whenever it is run.  A stage on which something went wrong (a test that did not
end, a fault) is not used again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Final

from flowmetal.actions.effect import Arguments, EffectFailure
from flowmetal.alarm_clock import SimulatedClock
from flowmetal.assembly import open_pretence, pretend, registry
from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.launching import Launched
from flowmetal.engine.starting import RunRequest
from flowmetal.engine.supply import SourceProvider
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError
from flowmetal.journal.journal import Journal
from flowmetal.journal.once import has_claims
from flowmetal.journal.store import Store
from flowmetal.language.flows import FlowInfo
from flowmetal.permissions.decision import decide_all
from flowmetal.permissions.grants import GrantSet
from flowmetal.places import home_path
from flowmetal.rehearsal.collecting import MAIN, TestFile
from flowmetal.rehearsal.lending import Lender
from flowmetal.rehearsal.questions import Questions
from flowmetal.rehearsal.script import AskFlow, scripted
from flowmetal.rehearsal.world import World
from flowmetal.settings import Limits, format_duration
from flowmetal.values import Failure, Wire, err, is_ok, ok, pack, unpack

START: Final = 1_893_456_000.0
"""When every test begins: 2030-01-01T00:00:00Z."""

MakeEngine = Callable[[AskFlow], Engine]
"""Makes an engine whose effects may ask a flow."""

_NO_ARGS: Final = pack([[], []])


@dataclass(frozen=True, slots=True)
class Tested:
    """How one test came out: ``result`` is a Result, ``error`` what stopped it instead.

    ``crashes`` are what became otherwise when the engine was ended on the way, ``crash_count`` how often it was.
    """

    name: str
    result: Wire
    world: World
    seconds: float
    error: FlowmetalError | None = None
    crashes: tuple[CrashFinding, ...] = ()
    crash_count: int = 0

    @property
    def passed(self) -> bool:
        """Whether it is Ok, the test had foreseen every effect, and no crash made a difference."""
        return self.error is None and is_ok(self.result) and not self.world.missing and not self.crashes


@dataclass(frozen=True, slots=True)
class CrashFinding:
    """What became otherwise when the engine ended at a ``moment``, in words."""

    moment: str
    differences: tuple[str, ...]


class Stage:
    """One engine; see ``on_stage``.

    Attributes:
        journal: where the tests' runs are.
        is_spoilt: whether something went wrong, so that neither it nor its worker serves another test.
        is_used: whether its journal holds what another test could find: runs that were started by themselves, and keys
            by which something is done once.
    """

    def __init__(self, make: MakeEngine, journal: Journal, clock: SimulatedClock, world: list[World]) -> None:
        self.journal = journal
        self.is_spoilt = False
        self.is_used = False
        self._own: set[bytes] = set()
        self._engine = engine = make(self._ask_flow)
        self._clock = clock
        self._world = world
        self._program: ProgramState | None = None
        engine.observe(Questions(engine.answer), only_questions=True)

    def close(self, *, keep_workers: bool) -> None:
        """Ends the engine."""
        self._engine.close(keep_workers=keep_workers)

    async def load(self, file: TestFile, limits: Limits) -> None:
        """Loads a test file.

        Raises:
            LanguageError: it cannot be loaded.
        """
        self._program = await self._engine.load(MAIN, file.sources, limits)

    async def flows_of(self, label: str, sources: SourceProvider, limits: Limits) -> dict[str, FlowInfo]:
        """The flows of a program by reference.

        Raises:
            LanguageError: it cannot be loaded.
        """
        return (await self._engine.load(label, sources, limits)).flows

    async def run(self, name: str, base_dir: str, timeout_seconds: float) -> Tested:
        """Runs one test of the file that is loaded."""
        assert self._program is not None
        self._world[0] = World()
        self._clock.rewind()
        self._own.add(name.encode())
        flow = next(each for each in self._program.flows.values() if each.label == MAIN and each.name == name)
        nonce = blake2b(name.encode(), digest_size=16).digest()
        request = RunRequest(name, flow.reference, name, _NO_ARGS, GrantSet(), base_dir, nonce=nonce)
        self._engine.begin(self._program, request)
        return await self._end_of(name, timeout_seconds)

    async def resume(self, name: str, timeout_seconds: float) -> Tested:
        """Takes a test up again where the journal of this stage has it, with what it left running."""
        for header in [each for each in self.journal.roots() if not each.is_finished]:
            self._engine.adopt(header.run_id)
        return await self._end_of(name, timeout_seconds)

    async def _ask_flow(self, reference: str, args: Arguments) -> Wire:
        """The Result of a flow of the test that answers for an effect; a root run of its own."""
        program = self._engine.program_of(self._engine.owned[0])
        count = sum(1 for _ in self.journal.roots())
        while self.journal.header(run_id := f"answer-{count}") is not None:
            count += 1
        self._own.add(run_id.encode())
        call = pack([[], list(chain.from_iterable(args.items()))])
        flow = program.flows[reference]
        self._engine.begin(program, RunRequest(run_id, reference, flow.name, call, GrantSet(), "/"))
        outcome = await self._engine.outcome(run_id)
        result, error = _result_of(outcome)
        if error is not None:
            raise EffectFailure(f"the flow {flow.name} that answers came to grief: {error.message}", kind="error")
        return result

    async def _end_of(self, name: str, timeout_seconds: float) -> Tested:
        began = time.perf_counter()
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
        for root_id in self._engine.owned:
            self._engine.cancel(root_id, "its test has ended")
        self.is_used = self._holds_more()
        return Tested(name, result, self._world[0], time.perf_counter() - began, error)

    def _holds_more(self) -> bool:
        with self.journal.store.view() as view:
            roots = {key.partition(b".")[0] for key, _ in view.scan("runs")}
            return not roots <= self._own or has_claims(view)


def _result_of(outcome: Outcome) -> tuple[Wire, FlowmetalError | None]:
    if outcome.error is not None:
        return None, outcome.error
    return unpack(outcome.value) if outcome.value is not None else ok(), None


@contextmanager
def on_stage(
    scratch: Path,
    spare: Launched | None = None,
    *,
    lender: Lender | None = None,
    store: Store | None = None,
    worlds: list[World] | None = None,
    clock: SimulatedClock | None = None,
    commit_every_turn: bool = False,
) -> Iterator[Stage]:
    """A stage within the running event loop.

    Args:
        scratch: a directory of its own.
        spare: a worker that is coming up.
        lender: gives the worker, and has it back.
        store: where the journal is; in memory by default.
        worlds: the world, in a list of one, where each test puts its own.
        clock: at the moment at which it is.
        commit_every_turn: whether the journal is never behind.
    """
    clock = clock or SimulatedClock(START)
    journal = open_pretence(scratch, clock, store)
    world = worlds if worlds is not None else [World()]

    def make(ask_flow: AskFlow) -> Engine:
        stubs = scripted(registry(), lambda: world[0], ask_flow)
        engine = pretend(journal, home_path(None), stubs, clock, decide_all, spare, lender)
        if commit_every_turn:
            engine.commit_every_turn()
        return engine

    stage = Stage(make, journal, clock, world)
    try:
        yield stage
    finally:
        stage.close(keep_workers=lender is not None)
