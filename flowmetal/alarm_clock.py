"""Time that calls back, as a parameter, so that plans and tests can hold it in their hands.

An engine takes an ``AlarmClock``: the time, and somebody who calls back later.  The machine's own goes on by itself.  A
``SimulatedClock`` stands still while anything is being done and jumps to its next alarm when the engine says that all
runs wait: a flow that sleeps for a year is over in a moment, and whatever it computes in between, its times are the
same.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Callable
from typing import Protocol

from flowmetal.clock import Clock


class Alarm(Protocol):
    """Something that will be called."""

    def cancel(self) -> None:
        """It will not be called."""
        ...


class AlarmClock(Clock, Protocol):
    """A clock that also calls back."""

    def call_later(self, seconds: float, then: Callable[[], None]) -> Alarm:
        """Calls ``then`` in ``seconds``, on the running event loop."""
        ...


class SystemClock:
    """The machine's own clocks, and the running event loop's alarms."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def call_later(self, seconds: float, then: Callable[[], None]) -> Alarm:
        """Calls ``then`` in ``seconds``, on the running event loop."""
        return asyncio.get_running_loop().call_later(seconds, then)


class SimulatedClock:
    """A clock that goes only when it is told to.

    Args:
        start: seconds since the epoch at which it stands; the machine's time by default.

    Attributes:
        on_move: called whenever it has moved, before what is due at that moment rings.
    """

    def __init__(self, start: float | None = None) -> None:
        # Whole milliseconds to begin with: what sleeps for seconds then wakes at a round moment.
        self._start_us = round((time.time() if start is None else start) * 1_000) * 1_000
        self._passed_us = 0
        self._rewound_us = 0
        self._alarms: list[tuple[int, int, _SimulatedAlarm]] = []
        self._count = 0
        self.on_move: Callable[[], None] = lambda: None

    @property
    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return self._start_us + self._passed_us

    def now(self) -> float:
        """Seconds since the epoch."""
        # Half a microsecond more, so that who rounds down gets no moment before this.
        return (self.now_us + 0.5) / 1_000_000

    def monotonic(self) -> float:
        """Seconds that were passed over."""
        return self._passed_us / 1_000_000

    def call_later(self, seconds: float, then: Callable[[], None]) -> Alarm:
        """Calls ``then`` when the clock has been moved on by ``seconds``."""
        # Rounded up, or an alarm that is set anew for what is left of it would never come.
        ahead_us = max(1 if seconds > 0 else 0, math.ceil(seconds * 1_000_000 - 0.001))
        alarm = _SimulatedAlarm(then)
        self._count += 1
        heapq.heappush(self._alarms, (self._passed_us + ahead_us, self._count, alarm))
        return alarm

    def jump(self) -> bool:
        """Moves the clock on to the next alarm and lets it ring; False if there is none."""
        due_us = self._next_us()
        if due_us is None:
            return False
        self._move(due_us)
        _, _, alarm = heapq.heappop(self._alarms)
        alarm.ring()
        return True

    def advance(self, seconds: float) -> None:
        """Moves the clock on by ``seconds``; what is due on the way rings at its time."""
        end_us = self._passed_us + round(seconds * 1_000_000)
        while (due_us := self._next_us()) is not None and due_us <= end_us:
            self.jump()
        self._move(end_us)

    def rewind(self) -> None:
        """Makes it the start again.  What was passed over stays so, and alarms keep their distance."""
        self._start_us, self._rewound_us = self._start_us - (self._passed_us - self._rewound_us), self._passed_us
        self.on_move()

    def _move(self, passed_us: int) -> None:
        if passed_us > self._passed_us:
            self._passed_us = passed_us
            self.on_move()

    def _next_us(self) -> int | None:
        while self._alarms and self._alarms[0][2].is_cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None


class _SimulatedAlarm:
    __slots__ = ("is_cancelled", "ring")

    def __init__(self, ring: Callable[[], None]) -> None:
        self.ring = ring
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True
