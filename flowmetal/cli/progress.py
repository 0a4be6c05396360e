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
        """One more is under way."""
        if not self.running:
            self.busy_since = now
        self.running += 1

    def end(self, now: float, is_ok: bool) -> None:
        """One has ended."""
        self.running -= 1
        if not self.running:
            self.busy_before += now - self.busy_since
        if is_ok:
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
        self._open: dict[tuple[str, int], Row] = {}

    def started(self, run_id: str, name: str, parent: str, number: int) -> None:
        """A run began; the action that asked for it may be known already."""
        row = self._open.get((parent, number)) if parent else None
        if row is not None:
            self._runs[run_id] = row
            return
        row = (self._row_of(parent) if parent else self.forest).child(name)
        self._runs[run_id] = row
        if not parent:
            row.begin(self._clock())

    def acted(self, run_id: str, number: int, name: str) -> None:
        """A run asked for something."""
        row = self._row_of(run_id).child(name)
        row.begin(self._clock())
        self._open[(run_id, number)] = row

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """What was asked for has a result; number 0 is the run itself."""
        if number:
            row = self._open.pop((run_id, number), None)
            if row is not None:
                row.end(self._clock(), is_ok)
            return
        row = self._runs.pop(run_id, None)
        if row is not None and "." not in run_id:
            row.end(self._clock(), is_ok)

    def _row_of(self, run_id: str) -> Row:
        row = self._runs.get(run_id)
        if row is None:
            parent, name = self._lookup(run_id)
            above = self._row_of(parent) if parent else self.forest
            row = self._runs[run_id] = above.child(name)
            if parent:
                self._open[(parent, int(run_id.rpartition(".")[2].partition("~")[0]))] = row
            row.begin(self._clock())
        return row
