"""When timers fire, on a clock that is told what time it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.engine.timers import Timers


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20))
def test_each_sleep_ends_at_the_very_moment_at_which_it_is_over(milliseconds: list[int]) -> None:
    """One after the other, as a flow sleeps: the time that has passed is the sum, whatever floats make of it."""
    clock = SimulatedClock(0)
    fired: list[tuple[str, int]] = []
    timers = Timers(clock, fired.extend)
    began_us = clock.now_us
    for number, each in enumerate(milliseconds, 1):
        timers.after("r", number, each / 1_000)
        while ("r", number) not in fired:
            assert clock.jump()
        assert clock.now_us - began_us == sum(milliseconds[:number]) * 1_000
