"""Timers of runs: one heap for the engine.

A sleep is measured on the monotonic clock while the engine lives; a moment (``sleep_until``, a deadline) on the wall
clock, which is looked at again every 30 seconds, since it may be set; nobody sets a simulated one.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

from flowmetal.alarm_clock import Alarm, AlarmClock, SimulatedClock

_LOOK_AGAIN_SECONDS: Final = 30.0
DEADLINE: Final = 0
"""The number under which a root's deadline is kept."""


class Timers:
    """Calls ``fire(run_id, number)`` when a timer comes due; a cancelled one is skipped."""

    def __init__(self, clock: AlarmClock, fire: Callable[[list[tuple[str, int]]], None]) -> None:
        self._clock = clock
        self._may_be_set = not isinstance(clock, SimulatedClock)
        self._look_again_seconds = _LOOK_AGAIN_SECONDS if self._may_be_set else math.inf
        self._fire = fire
        self._heap: list[tuple[float, str, int]] = []
        self._moments: dict[tuple[str, int], float] = {}
        # A run waits in one place, so it has one timer; a root's deadline is kept beside it.
        self._due: dict[str, int] = {}
        self._handle: Alarm | None = None
        self._handle_due = 0.0

    def __len__(self) -> int:
        return len(self._due)

    def after(self, run_id: str, number: int, seconds: float) -> None:
        """Fires after ``seconds`` of the monotonic clock."""
        self._push(self._clock.monotonic() + seconds, run_id, number)

    def at(self, run_id: str, number: int, moment: float) -> None:
        """Fires at ``moment``, seconds since the epoch."""
        self._moments[(run_id, number)] = moment
        self._push(
            self._clock.monotonic() + min(max(0.0, moment - self._clock.now()), self._look_again_seconds),
            run_id,
            number,
        )

    def has(self, run_id: str, number: int) -> bool:
        """Whether a timer of a run is set."""
        return self._due.get(_key(run_id, number)) == number

    def run_ids(self) -> list[str]:
        """The runs that have a timer."""
        return [key.removesuffix("!") for key in self._due]

    def cancel(self, run_id: str, number: int | None = None) -> None:
        """Forgets a timer of a run, or all of them."""
        for key in (run_id, _key(run_id, DEADLINE)) if number is None else (_key(run_id, number),):
            if number is None or self._due.get(key) == number:
                known = self._due.pop(key, None)
                self._moments.pop((run_id, known if known is not None else -1), None)

    def close(self) -> None:
        """Fires nothing any more."""
        if self._handle is not None:
            self._handle.cancel()
        self._heap.clear()
        self._due.clear()

    def _push(self, due: float, run_id: str, number: int) -> None:
        # In whole nanoseconds: a sum of floats that is the least bit above a moment would be due after it.
        due = round(due, 9)
        heapq.heappush(self._heap, (due, run_id, number))
        self._due[_key(run_id, number)] = number
        self._arm()

    def _arm(self) -> None:
        if not self._heap:
            return
        due = self._heap[0][0]
        if self._handle is not None:
            if self._handle_due <= due:
                return
            self._handle.cancel()
        self._handle_due = due
        self._handle = self._clock.call_later(max(0.0, due - self._clock.monotonic()), self._ring)

    def _ring(self) -> None:
        self._handle = None
        now = self._clock.monotonic()
        fired: list[tuple[str, int]] = []
        while self._heap and self._heap[0][0] <= now:
            _, run_id, number = heapq.heappop(self._heap)
            if not self.has(run_id, number):
                continue
            moment = self._moments.get((run_id, number))
            if moment is not None and self._may_be_set and moment > self._clock.now():
                self.at(run_id, number, moment)
                continue
            self.cancel(run_id, number)
            fired.append((run_id, number))
        self._arm()
        if fired:
            self._fire(fired)


def _key(run_id: str, number: int) -> str:
    return run_id if number != DEADLINE else f"{run_id}!"
