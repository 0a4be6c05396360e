"""What the engine keeps in memory of runs.

A run is *hot* while a worker holds it; of a run that is *cold* the engine remembers at most a timer and what it waits
for, so that a hundred thousand sleepers cost next to nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flowmetal.engine.process import WorkerProcess
from flowmetal.errors import FlowmetalError
from flowmetal.journal.headers import Header
from flowmetal.language.flows import FlowInfo
from flowmetal.package_graph import Graph
from flowmetal.permissions.grants import GrantSet
from flowmetal.settings import Limits
from flowmetal.values import Wire

TASK_VERBS: Final = frozenset({"run", "start"})
FLOW_VERBS: Final = frozenset({"call", "run"})
CLEANUP_VERBS: Final = frozenset({"defer", "clean"})
EFFECT_VERBS: Final = frozenset({"do", "start"})


@dataclass(slots=True)
class ProgramState:
    """One code graph with one set of grants, and the worker that serves it."""

    main: str
    sources: dict[str, str]
    limits: Limits
    worker: WorkerProcess | None = None
    is_loaded: bool = False
    flows: dict[str, FlowInfo] = field(default_factory=dict)
    labels: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    failed_loads: int = 0
    # The packages it was loaded with; None of a program that needs none, or is pinned.
    graph: Graph | None = None
    # What its worker is told of packages; see ``supply``.
    rules: dict[str, list[Any]] = field(default_factory=dict)
    # Packages are being fetched: the worker waits for us.
    resolving: asyncio.Task[None] | None = None
    # Why they could not be had, for whoever waits for the program.
    refusal: FlowmetalError | None = None
    ready: deque[Start] = field(default_factory=deque)
    alone: deque[Start] = field(default_factory=deque)
    hot: dict[str, HotRun] = field(default_factory=dict)
    parked: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class RootState:
    """A root run this engine owns: what all its descendants share."""

    header: Header
    program: ProgramState
    nonce: bytes
    grants: GrantSet
    base_dir: str
    limits: Limits
    # What becomes of an effect that is not granted: "" is Err, "wait" for a grant.
    on_deny: str = ""
    # It is being paused: nothing of it is begun any more, and what is under way is waited for.
    is_pausing: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is to be given to a worker; ``fresh`` is what a start without replay needs."""

    run_id: str
    root: RootState
    fresh: Fresh | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A run that has nothing recorded but its ``started``."""

    header: Header
    args: bytes
    line: str
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that cannot go on and is left as it was."""

    run_id: str
    error: FlowmetalError


@dataclass(frozen=True, slots=True)
class Taken:
    """A result of an earlier attempt: the number of its action, and the encoded Result."""

    number: int
    value: bytes


class Earlier(Protocol):
    """What the earlier attempts of a run have done."""

    def take(self, action: OpenAction, what: str, args: list[Wire], kwargs: list[Wire]) -> Taken | None:
        """The result that an action takes over; None if it is to be done."""
        ...

    def begun(self, action: OpenAction, what: str, args: list[Wire], kwargs: list[Wire]) -> str:
        """The id of the child run that the same call began, where it was not Ok; "" if there is none."""
        ...


@dataclass(slots=True)
class OpenAction:
    """An action without a result; ``missing`` are the tasks it still depends on."""

    number: int
    verb: str
    target: str
    args: bytes
    line: str
    name: str
    deps: tuple[int, ...] = ()
    missing: Set[int] = frozenset()
    due_ms: int | None = None
    is_inline: bool = False
    is_started: bool = False
    # It was recorded in an earlier life of the run: what it started may be under way or over.
    is_reopened: bool = False
    # It is recorded that an attempt at it began, or is to begin.
    has_begun: bool = False
    # The modules on the call stack, without the main file's: an effect has the authority that all of them have.
    modules: tuple[str, ...] = ()
    at_ms: int = 0
    attempt: int = 1
    # When an attempt that has not begun is due, and how long the pause before it was to be.
    retry_due_ms: int | None = None
    retry_delay_ms: int = 0
    # Why a person was asked; "" if nobody was.
    asked: str = ""


@dataclass(slots=True)
class HotRun:
    """A run that a worker holds."""

    run_id: str
    key: bytes
    header: Header
    root: RootState
    incarnation: int
    worker: WorkerProcess
    # The modules on the call stacks of all that led to this run; see ``OpenAction.modules``.
    modules: tuple[str, ...] = ()
    last_action: int = 0
    last_log: tuple[int, int] = (0, 0)
    log_bytes: int = 0
    # Its history is being sent; ``streamed`` is the sequence up to which it has gone.
    is_streaming: bool = False
    streamed: int = 0
    is_live: bool = True
    open: dict[int, OpenAction] = field(default_factory=dict)
    task_results: dict[int, bytes] = field(default_factory=dict)
    # Numbers it is parked on; None while it is evaluated.
    parked: set[int] | None = None
    answered: bool = False
    evicting: bool = False
    inline_child: str = ""
    # It waits for room: any result lets it go on.
    any_wakes: bool = False
    # What earlier attempts have done, read when it is first asked for.
    earlier: Earlier | None = None
    is_inline: bool = False
    alone: bool = False

    @property
    def root_key(self) -> bytes:
        """The id of its root, encoded."""
        return self.key.partition(b".")[0]

    @property
    def is_executing(self) -> bool:
        """Whether a death of the worker may be this run's doing."""
        return self.parked is None and not self.inline_child


class Caller(Protocol):
    """Who begins a child: a hot run, or one whose flow has ended."""

    @property
    def run_id(self) -> str:
        """Its id."""
        ...

    @property
    def header(self) -> Header:
        """Its header."""
        ...

    @property
    def root(self) -> RootState:
        """Its root."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules on the call stacks of all that led to it."""
        ...


@dataclass(slots=True)
class PendingWait:
    """A ``wait`` or ``wait_any`` that the engine answers: ``missing`` are the tasks without a result yet."""

    number: int
    is_any: bool
    numbers: list[int]
    missing: set[int]


@dataclass(slots=True)
class ColdWait:
    """What an evicted run waits for: it is woken when the last of ``missing`` has a result.

    Any of ``any_of`` wakes it too: tasks that others of its tasks depend on, which only a hot run can start.
    """

    root: RootState
    missing: set[int]
    any_of: Set[int] = frozenset()
