"""Time as a parameter, for who only asks what it is; who wants to be called back takes an ``AlarmClock``.

Apart from that, since alarms need an event loop, and a command that looks at a journal none.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What most know of time."""

    def now(self) -> float:
        """Seconds since the epoch, wall clock."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...


class WallClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()
