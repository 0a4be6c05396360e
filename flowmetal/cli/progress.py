"""What is going on, added up: runs and actions of the same name at the same place of the tree are one row.

A row for each name below each row, never one for each run: a flow that starts ten thousand others is two rows with
counts, and what is kept is as large as what is open now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MOST_NAMES = 20
MOST_DEPTH = 8
OTHERS = "others"


@dataclass(slots=True)
class Row:
    """All runs and actions of one name below one row; times in seconds of a monotonic clock."""

    name: str
    depth: int
    running: int = 0
    ok: int = 0
    err: int = 0
    dropped: int = 0
    retried: int = 0
    asking: int = 0
    busy_since: float = 0.0
    busy_before: float = 0.0
    below: dict[str, Row] = field(default_factory=dict)

    def child(self, name: str) -> Row:
        """The row of a name below this one; deep or many names share one."""
        if self.depth >= MOST_DEPTH:
            return self
        row = self.below.get(name)
        if row is None:
            if len(self.below) >= MOST_NAMES:
                name = OTHERS
            row = self.below.setdefault(name, Row(name, self.depth + 1))
        return row

    def begin(self, now: float) -> None:
        """One more is under way since ``now``, which may be long ago."""
        self.busy_since = min(now, self.busy_since) if self.running else now
        self.running += 1

    def end(self, now: float, is_ok: bool | None) -> None:
        """One has ended; None: without a result of its own, because what asked for it has ended."""
        self.running -= 1
        if not self.running:
            self.busy_before += now - self.busy_since
        self._count(is_ok)

    def was(self, since: float, until: float, is_ok: bool) -> None:
        """One was over before anyone looked; called when all that are under way are known."""
        if self.running:
            self.busy_since = min(since, self.busy_since)
        else:
            self.busy_before = max(self.busy_before, until - since)
        self._count(is_ok)

    def _count(self, is_ok: bool | None) -> None:
        if is_ok is None:
            self.dropped += 1
        elif is_ok:
            self.ok += 1
        else:
            self.err += 1

    def busy(self, now: float) -> float:
        """How long at least one was under way."""
        return self.busy_before + (now - self.busy_since if self.running else 0.0)


class Progress:
    """Adds up what an engine tells.

    Args:
        lookup: the parent's id ("" for a root) and the name of a run that began before anyone was told of it.
        clock: seconds that never go back.
    """

    def __init__(self, lookup: Callable[[str], tuple[str, str]], clock: Callable[[], float]) -> None:
        self.forest = Row("", 0)
        self._lookup = lookup
        self._clock = clock
        self._runs: dict[str, Row] = {}
        self._open: dict[str, dict[int, Row]] = {}
        self._asking: dict[str, dict[int, Row]] = {}

    def started(self, run_id: str, name: str, parent: str, number: int, since: float | None = None) -> None:
        """A run began, now or at ``since``; the action that asked for it may be known already."""
        if run_id in self._runs:
            return
        row = self._open.get(parent, {}).get(number) if parent else None
        if row is None:
            row = (self._row_of(parent) if parent else self.forest).child(name)
            if not parent or since is not None:
                row.begin(self._clock() if since is None else since)
            if parent and since is not None:
                self._open.setdefault(parent, {})[number] = row
        self._runs[run_id] = row

    def acted(self, run_id: str, number: int, name: str, since: float | None = None) -> None:
        """A run asked for something, now or at ``since``."""
        row = self._row_of(run_id).child(name)
        row.begin(self._clock() if since is None else since)
        self._open.setdefault(run_id, {})[number] = row

    def was(self, parent: str, name: str, since: float, until: float, is_ok: bool) -> None:
        """A run below ``parent`` ended before anyone was told; counted when its parent is under way."""
        row = self._runs.get(parent)
        if row is not None:
            row.child(name).was(since, until, is_ok)

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """What was asked for has a result; number 0 is the run itself, and what it left open is over with it."""
        now = self._clock()
        self._answered(run_id, number)
        if number:
            row = self._open.get(run_id, {}).pop(number, None)
            if row is not None:
                row.end(now, is_ok)
            return
        for left in self._open.pop(run_id, {}).values():
            left.end(now, None)
        row = self._runs.pop(run_id, None)
        if row is not None and "." not in run_id:
            row.end(now, is_ok)

    def retrying(self, run_id: str, number: int) -> None:
        """Another attempt follows; with number 0 at the run itself, and what it left open is over."""
        self._answered(run_id, number)
        row = self._open.get(run_id, {}).get(number) if number else self._runs.get(run_id)
        if row is not None:
            row.retried += 1
        if not number:
            now = self._clock()
            for left in self._open.pop(run_id, {}).values():
                left.end(now, None)

    def asked(self, run_id: str, number: int) -> None:
        """What was asked for waits for a person."""
        row = self._open.get(run_id, {}).get(number)
        if row is not None and number not in self._asking.get(run_id, {}):
            row.asking += 1
            self._asking.setdefault(run_id, {})[number] = row

    def _answered(self, run_id: str, number: int) -> None:
        asking = self._asking.get(run_id)
        if asking is None:
            return
        for each in [number] if number else list(asking):
            row = asking.pop(each, None)
            if row is not None:
                row.asking -= 1
        if not asking:
            del self._asking[run_id]

    def _row_of(self, run_id: str) -> Row:
        row = self._runs.get(run_id)
        if row is None:
            parent, name = self._lookup(run_id)
            above = self._row_of(parent) if parent else self.forest
            row = self._runs[run_id] = above.child(name)
            if parent:
                self._open.setdefault(parent, {})[int(run_id.rpartition(".")[2].partition("~")[0])] = row
            row.begin(self._clock())
        return row
