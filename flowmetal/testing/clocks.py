"""Clocks that a test holds in its hands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from flowmetal.alarm_clock import Alarm


class ShiftedClock:
    """The machine's clocks, the wall clock moved by ``shift_seconds``.

    As if someone had set it, or as if time had passed unseen.
    """

    def __init__(self, shift_seconds: float = 0.0) -> None:
        self.shift_seconds = shift_seconds

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self.shift_seconds

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def call_later(self, seconds: float, then: Callable[[], None]) -> Alarm:
        """Calls ``then`` in ``seconds``, on the running event loop."""
        return asyncio.get_running_loop().call_later(seconds, then)
