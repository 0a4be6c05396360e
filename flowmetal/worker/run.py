"""One hot run in the worker: its action numbers, its history while it is replayed, its results.

A run is touched by one thread only, the *strand* it lives on.  A blocking child that has had no action yet lives on
its parent's strand and is not known to the engine; its first action makes it a run of its own
(``Session.materialize``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import msgpack

from flowmetal.language.host import is_ok_answer
from flowmetal.values import Wire

SCRIPT: Final = -1

# An event's body as the journal writes it: numbers of kinds and letters of fields (docs/journal-format.md).
KIND, NUMBER, CALLEE, ARGS, LINE, VALUE, AFTER, INDEX, LATE = "k", "n", "c", "a", "l", "v", "j", "q", "w"
_ACTIONS: Final = (2, 3)
_RESULT, _TIMER_FIRED, _LOG = 5, 6, 9


class History:
    """What is recorded of a run, read as far as replay must.

    ``actions`` are the recorded actions not asked for yet; ``results`` what is known to have come of any action.
    """

    def __init__(self) -> None:
        self.actions: deque[dict[str, Any]] = deque()
        self.results: dict[int, bytes | None] = {}
        self.logged: dict[int, int] = {}
        self.slices: deque[list[bytes]] = deque()
        self.complete = False
        self.asked = False
        self._bodies: deque[bytes] = deque()

    def add(self, bodies: list[bytes], complete: bool) -> None:
        """Takes a slice that the engine sent."""
        self.slices.append(bodies)
        self.complete = complete
        self.asked = False

    def read(self) -> bool:
        """Takes one more event in; False when there is none at hand."""
        while not self._bodies:
            if not self.slices:
                return False
            self._bodies.extend(self.slices.popleft())
        self._take(msgpack.unpackb(self._bodies.popleft(), strict_map_key=True))
        return True

    @property
    def is_low(self) -> bool:
        """Whether the last slice at hand is being used up although there is more to come."""
        return not self.slices and not self.complete

    def _take(self, event: dict[str, Any]) -> None:
        kind = event[KIND]
        if kind in _ACTIONS:
            self.actions.append(event)
        elif kind == _RESULT:
            if not event.get(LATE):
                self.results.setdefault(event[NUMBER], event[VALUE])
        elif kind == _TIMER_FIRED:
            self.results.setdefault(event[NUMBER], None)
        elif kind == _LOG:
            after = event[AFTER]
            self.logged[after] = max(self.logged.get(after, 0), event[INDEX])


@dataclass(slots=True)
class Deferred:
    """A registered cleanup: the flow, its settings, its arguments, or None while these are not known."""

    reference: str
    name: str
    policy: Wire
    args: list[Wire] | None
    kwargs: list[Wire]
    line: str
    modules: list[str]


class Run:
    """State of one run; see the module's text."""

    __slots__ = (
        "args", "asked_at", "attempt", "base", "bound", "callee", "continue_every", "deferred", "depth",
        "direct_error", "direct_last", "exhausted", "failure", "history", "incarnation", "index", "inlining", "key",
        "kwargs", "last_now", "line", "log_index", "materialized", "modules", "name", "nonce", "number", "open",
        "packed", "parent", "parent_number", "results", "run_id", "started", "started_ms", "tasks", "ticks", "undoing",
        "unobserved",
    )  # fmt: skip

    def __init__(self, run_id: str, incarnation: int, index: int, args: list[Wire], kwargs: list[Wire]) -> None:
        self.run_id = run_id
        self.incarnation = incarnation
        self.index = index
        self.args = args
        self.kwargs = kwargs
        self.bound: list[Wire] | None = None
        self.name = ""
        self.nonce = b""
        self.key = ""
        self.attempt = 1
        self.started = ""
        self.started_ms = 0
        self.last_now = 0
        self.number = 0
        # The line of its latest action.
        self.asked_at = ""
        # The last action of the attempts and lives before the present one.
        self.base = 0
        self.continue_every = 0
        self.log_index = 0
        self.history: History | None = None
        # Results of tasks stay, for a task may be waited for many times; results of blocking actions are taken.
        self.results: dict[int, bytes | None] = {}
        self.tasks: dict[int, str] = {}
        self.unobserved: dict[int, None] = {}
        self.open: dict[int, None] = {}
        # Cleanups that are registered and neither run nor released, by number.
        self.deferred: dict[int, Deferred] = {}
        # The one among them that is for what the very next action gives, 0 for none.
        self.undoing = 0
        self.failure: Wire = None
        self.ticks = 0
        self.exhausted = False
        self.depth = 1
        self.inlining = True
        # For a child that is inlined: where it hangs, and what its parent's action will say.
        self.materialized = True
        self.parent: Run | None = None
        self.parent_number = 0
        self.callee = ""
        self.packed = b""
        self.line = ""
        self.modules: tuple[str, ...] = ()
        # For a root script: the first Err and the last Result of the flows that its body called.
        self.direct_error: tuple[int, Wire] | None = None
        self.direct_last: tuple[int, Wire] | None = None

    @property
    def context(self) -> str:
        """The words of a flow context (``flowmetal.language.host.FlowContextParts``)."""
        return f"{self.run_id} {self.attempt} {self.key} {self.started}"

    def note_direct(self, number: int, answer: Wire) -> None:
        """Remembers the Result of a flow that a root script's body called."""
        if not is_ok_answer(answer) and (self.direct_error is None or number < self.direct_error[0]):
            self.direct_error = (number, answer)
        if self.direct_last is None or number > self.direct_last[0]:
            self.direct_last = (number, answer)
