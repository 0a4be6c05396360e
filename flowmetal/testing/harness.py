"""Runs flows in this process, on a real journal and real workers, with what a test wants different put in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.actions.services import Services
from flowmetal.alarm_clock import AlarmClock, SystemClock
from flowmetal.carried import prelude_directory
from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.programs import Spawn
from flowmetal.engine.starting import RunRequest
from flowmetal.engine.supply import SourceProvider
from flowmetal.errors import LanguageError
from flowmetal.journal import ownership
from flowmetal.journal.events import Event
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import sort_key
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.store import Store
from flowmetal.package_graph import PackageSource
from flowmetal.permissions.grants import GrantSet, parse_grants
from flowmetal.places import JOURNAL_DIRECTORY
from flowmetal.settings import Limits
from flowmetal.sources import FileSources, locate
from flowmetal.values import Failure, Wire, pack, unpack

T = TypeVar("T")

Program: TypeAlias = str | Path | Mapping[str, str]
"""A flow's text, the path of its file, or the texts of several modules by label, ``MAIN`` among them."""

MAIN = "//main.flow"
NO_ARGS = pack([[], []])


@dataclass(frozen=True)
class TextSources:
    """A program whose modules are texts; the prelude comes from its files."""

    modules: Mapping[str, str]
    prelude: FileSources = field(default_factory=lambda: FileSources(prelude_directory(), prelude_directory()))
    packages: PackageSource | None = None

    def text_of(self, label: str) -> str:
        """The text of a module.

        Raises:
            LanguageError: there is no such module.
        """
        if label in self.modules:
            return self.modules[label]
        if label.startswith("//"):
            raise LanguageError(f"there is no module {label}")
        return self.prelude.text_of(label)


def sources_of(flow: Program) -> tuple[str, SourceProvider]:
    """The main label and the sources of a flow."""
    if isinstance(flow, Path):
        return locate(str(flow), prelude_directory())
    return MAIN, TextSources({MAIN: flow} if isinstance(flow, str) else flow)


def open_store(home: Path) -> LmdbStore:
    """The home's store; it survives the process and no power cut, which is as far as tests go, and fast."""
    return LmdbStore(home / JOURNAL_DIRECTORY, durability="os")


@dataclass
class Lab:
    """A home to run flows in; every field may be set to something else.

    ``grants`` are texts such as ``write=.``, relative to ``base``.
    """

    home: Path
    base: Path
    store: Store
    limits: Limits = field(default_factory=Limits)
    registry: Registry = field(default_factory=lambda: STANDARD)
    clock: AlarmClock = field(default_factory=SystemClock)
    spawn: Spawn = WorkerProcess
    allow: tuple[str, ...] = ("read=.", "write=.")
    allow_for: tuple[tuple[str, str], ...] = ()
    services: Services = field(default_factory=Services)

    @property
    def journal(self) -> Journal:
        """The journal of the home."""
        return Journal(self.store, self.home, self.clock)

    def grants(self) -> GrantSet:
        """The grants of runs that are started here."""
        return parse_grants(self.allow, [], str(self.base), allow_for=self.allow_for)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine on the home, closed at the end; it needs a running loop."""
        (self.home / "engines").mkdir(parents=True, exist_ok=True)
        ownership.sweep(self.home)
        protected = (os.path.realpath(self.home),)
        engine = Engine(
            self.journal,
            ownership.acquire(self.home),
            self.registry,
            protected,
            self.clock,
            self.spawn,
            self.services,
        )
        try:
            yield engine
        finally:
            engine.close()

    async def start(
        self, engine: Engine, flow: Program, run_id: str = "r", *, name: str = "", args: bytes = NO_ARGS, **more: Any
    ) -> None:
        """Loads a flow and starts a run of it: of its body, or of the flow ``name``."""
        main, sources = sources_of(flow)
        program = await engine.load(main, sources, self.limits)
        reference = next((each.reference for each in program.flows.values() if each.name == name), "")
        request = RunRequest(run_id, reference, name or "script", args, self.grants(), str(self.base), **more)
        begun = engine.begin(program, request)
        assert begun.outcome == "started", begun

    def run(self, flow: Program, run_id: str = "r", *, seconds: float = 60.0, **more: Any) -> Outcome:
        """Starts a run and waits for its end."""

        async def life() -> Outcome:
            with self.engine() as engine:
                await self.start(engine, flow, run_id, **more)
                return await _end_of(engine, run_id, seconds)

        return in_loop(life)

    def resume(self, run_id: str = "r", *, seconds: float = 60.0) -> Outcome:
        """Takes a run up again and waits for its end."""

        async def life() -> Outcome:
            with self.engine() as engine:
                header = engine.adopt(run_id)
                if header.is_finished:
                    return Outcome(header, self.journal.payload(run_id, header.result))
                return await _end_of(engine, run_id, seconds)

        return in_loop(life)

    def events(self, run_id: str = "r") -> list[Event]:
        """The history of a run."""
        return [event for _, event in self.journal.history(run_id)]

    def tree(self, root_id: str = "r") -> dict[str, list[Event]]:
        """The histories of a root and all below it."""
        ids = [root_id, *sorted((each.run_id for each in self.journal.descendants(root_id)), key=sort_key)]
        return {run_id: self.events(run_id) for run_id in ids}


async def _end_of(engine: Engine, run_id: str, seconds: float) -> Outcome:
    try:
        return await asyncio.wait_for(engine.outcome(run_id), seconds)
    finally:
        await engine.stop()


def make_lab(directory: Path, store: Store | None = None, **changes: Any) -> Lab:
    """A lab below a directory: ``home`` and ``base`` are made in it."""
    home, base = directory / "home", directory / "base"
    home.mkdir(parents=True, exist_ok=True)
    base.mkdir(exist_ok=True)
    return Lab(home, base, store if store is not None else open_store(home), **changes)


def in_loop(life: Callable[[], Awaitable[T]]) -> T:
    """What ``life`` gives in an event loop of its own, in which an unhandled error is an error of the test."""
    problems: list[str] = []

    async def main() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: problems.append(describe(context)))
        return await life()

    try:
        result = asyncio.run(main())
    except TimeoutError as error:
        raise AssertionError(f"no end in sight; problems: {problems}") from error
    assert not problems, "\n".join(problems)
    return result


def describe(context: dict[str, Any]) -> str:
    """An unhandled error of a loop, with its place."""
    error = context.get("exception")
    lines = [str(context.get("message"))]
    trace = error.__traceback__ if isinstance(error, BaseException) else None
    while trace is not None:
        lines.append(f"  {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno} {trace.tb_frame.f_code.co_name}")
        trace = trace.tb_next
    return "\n".join([*lines, f"  {type(error).__name__}: {error}"])


def value_of(outcome: Outcome) -> Wire:
    """The value of an outcome that must be Ok."""
    assert outcome.error is None, outcome.error.show()
    assert outcome.value is not None
    is_ok, value, error = unpack(outcome.value)["result"]
    assert is_ok, Failure.from_wire(error)
    return value


def failure_of(outcome: Outcome) -> Failure:
    """The failure of an outcome that must be Err."""
    assert outcome.error is None, outcome.error.show()
    assert outcome.value is not None
    is_ok, value, error = unpack(outcome.value)["result"]
    assert not is_ok, value
    return Failure.from_wire(error)
