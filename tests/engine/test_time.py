"""Clocks that are set, and time that passes while nobody drives a run."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.actions.effect import Arguments, EffectFailure
from flowmetal.alarm_clock import SimulatedClock
from flowmetal.journal import event_reading, events
from flowmetal.journal.keys import events_range
from flowmetal.settings import Limits
from flowmetal.testing.clocks import ShiftedClock
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import Lab, in_loop, value_of
from flowmetal.values import pack

DAY = 86_400.0


def give_up(lab: Lab, text: str) -> None:
    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await asyncio.sleep(0.1)

    in_loop(life)


def body(text: str) -> str:
    start = f'def _main(fctx):\n    actions = fctx.actions\n    {text}\n    return "over"\n\nmain = flow(_main)\n'
    return f'{start}\nif __name__ == "__flow__":\n    main()\n'


def test_time_that_passed_is_slept(lab: Lab) -> None:
    give_up(lab, body('actions.sleep("20h")'))
    lab.clock = ShiftedClock(DAY)
    assert value_of(lab.resume(seconds=10)) == "over"


def test_a_clock_that_was_set_back_makes_no_sleep_longer(lab: Lab) -> None:
    lab.clock = ShiftedClock(DAY)
    give_up(lab, body('actions.sleep("1500ms")'))
    lab.clock = ShiftedClock(0)
    began = time.monotonic()
    assert value_of(lab.resume(seconds=20)) == "over"
    assert time.monotonic() - began > 1.0  # and it is slept


def test_a_clock_that_was_set_back_makes_no_patience_longer(lab: Lab) -> None:
    lab.clock = ShiftedClock(DAY)
    text = """
def _nap(fctx):
    fctx.actions.sleep("10h")

nap = flow(_nap)

def _main(fctx):
    task = fctx.actions.run(nap)
    index, _ = fctx.actions.wait_any([task], timeout = "1s")
    fctx.actions.cancel(task)
    return index

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    give_up(lab, text)
    lab.clock = ShiftedClock(0)
    assert value_of(lab.resume(seconds=20)) is None


def test_a_moment_is_a_moment_of_the_wall_clock(lab: Lab) -> None:
    give_up(lab, body('actions.sleep_until("2999-01-01T00:00:00Z")'))
    lab.clock = ShiftedClock(DAY * 366 * 1_000)
    assert value_of(lab.resume(seconds=10)) == "over"


def test_a_moment_that_has_passed_is_no_wait(lab: Lab) -> None:
    assert value_of(lab.run(body('actions.sleep_until("1999-01-01T00:00:00+02:00")'))) == "over"


def test_times_of_a_run_never_go_back_over_a_resume(lab: Lab) -> None:
    """The worker's clock cannot be set from here, so the recorded time is moved instead: to tomorrow."""
    text = """
def _main(fctx):
    first = now()
    fctx.actions.sleep("300ms")
    return [first, now()]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    give_up(lab, text)
    tomorrow = "2999-01-01T00:00:00.000000Z"
    with lab.store.update() as update:
        for key, data in list(update.scan("events", *events_range("r.1", 0))):
            event = event_reading.decode(data)
            if event.fields.get("callee") == "now":
                fields = event.fields
                moved = events.action(
                    event.at_ms, fields["number"], "now", fields["args"], fields["line"], pack(tomorrow)
                )
                update.put("events", key, moved)
    first, second = value_of(lab.resume())
    assert first == tomorrow
    assert second >= tomorrow


# -- time that is made up ------------------------------------------------------------------------------


def parse(moment: str) -> float:
    """Seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()


YEARS = """
def _naps_impl(fctx, times):
    for _ in range(times):
        fctx.actions.sleep("1d")
    return now()

naps = flow(_naps_impl)
pure = flow(lambda fctx: now())

def _main(fctx):
    a = fctx.actions
    seen = [now(), unwrap(pure())]
    tasks = [a.run(naps, days) for days in (400, 2, 1)]
    index, first = a.wait_any(tasks, timeout = "10d")
    late = a.wait([tasks[0]], timeout = "8d")
    a.sleep_until("2130-01-01T00:00:00Z")
    ends = [first.value] + [a.wait(task).value for task in tasks]
    return [index, [each.error.kind for each in late], seen, ends, now(), unwrap(pure())]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def test_a_century_of_sleep_is_over_in_a_moment(lab: Lab) -> None:
    """Every time that the flow sees is the simulated one, in whatever worker, inline or not, hot or woken."""
    lab.clock = SimulatedClock(parse("2030-01-01T00:00:00Z"))
    lab.limits = Limits(hot_runs=2)
    index, late, seen, ends, after, inline = value_of(lab.run(YEARS, seconds=60))
    assert (index, late) == (2, ["timeout"])
    assert seen == ["2030-01-01T00:00:00.000000Z"] * 2
    days = ["2030-01-02", "2031-02-05", "2030-01-03", "2030-01-02"]
    assert ends == [f"{day}T00:00:00.000000Z" for day in days]
    assert [after, inline] == ["2130-01-01T00:00:00.000000Z"] * 2
    header = lab.journal.header("r")
    assert header is not None
    assert header.finished_ms == int(parse("2130-01-01T00:00:00Z") * 1_000)
    assert list(lab.journal.verify()) == []


def test_pauses_deadlines_and_patience_are_simulated_too(lab: Lab) -> None:
    """What an effect takes is real time, in which the simulated clock stands still."""
    begun: list[float] = []
    clock = lab.clock = SimulatedClock(0)

    def flaky(args: Arguments) -> str:
        begun.append(clock.now())
        time.sleep(0.02)
        raise EffectFailure("no")

    lab.registry = scripted("thread", read=flaky)
    text = """
def _stuck(fctx):
    fctx.actions.sleep("9h")

stuck = flow(_stuck, timeout = "1h", retries = 1, retry_delay = "1h", max_retry_delay = "1h")

def _main(fctx):
    a = fctx.actions
    read = a.read("f", retries = 3, retry_delay = "1h", timeout = "10ms", retry_on = ["timeout"])
    again = a.read("f", retries = 9, retry_delay = "1h", max_retry_delay = "1h", schedule_timeout = "150m")
    return [read.error.kind, again.error.kind, stuck().error.kind, now()]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    assert value_of(lab.run(text)) == ["effect", "timeout", "timeout", "1970-01-01T05:00:00.000000Z"]
    assert [round(each / 3_600, 3) for each in begun] == [0, 0, 1, 2]


@pytest.mark.parametrize("hot_runs", [2, 4, 128])
def test_time_goes_on_only_when_nothing_is_left_to_do(lab: Lab, hot_runs: int) -> None:
    """Whoever has room for two tasks begins the next as soon as one is over, evicted meanwhile or not."""
    lab.clock = SimulatedClock(0)
    lab.limits = Limits(hot_runs=hot_runs, open_actions=2)
    text = """
def _nap(fctx, hours):
    fctx.actions.sleep("%dh" % hours)
    return hours

nap = flow(_nap)

def _main(fctx):
    tasks = [fctx.actions.run(nap, hours) for hours in range(1, 31)]
    return [sum([each.value for each in fctx.actions.wait(tasks)]), now()]

main = flow(_main)

def sum(numbers):
    total = 0
    for each in numbers:
        total += each
    return total

if __name__ == "__flow__":
    main()
"""
    assert value_of(lab.run(text)) == [465, "1970-01-11T00:00:00.000000Z"]


def test_a_simulated_clock_waits_for_whoever_must_act(lab: Lab) -> None:
    """With nothing due it stands, and goes on when a person has answered."""
    lab.clock = SimulatedClock(0)

    async def life() -> Any:
        with lab.engine() as engine:
            await lab.start(engine, body('return [unwrap(actions.input("?")), actions.sleep("1h"), now()]'))
            while not engine.answer("r.1", 1, "yes"):
                await asyncio.sleep(0.01)
            return await asyncio.wait_for(engine.outcome("r"), 30)

    assert value_of(in_loop(life)) == ["yes", None, "1970-01-01T01:00:00.000000Z"]


MICROSECONDS = st.integers(0, 10**15).map(lambda count: count / 1_000_000)


@given(st.lists(st.tuples(MICROSECONDS, st.booleans()), max_size=20), MICROSECONDS)
def test_alarms_ring_in_order_and_at_their_time(alarms: list[tuple[float, bool]], span: float) -> None:
    clock = SimulatedClock(0)
    rung: list[tuple[float, float]] = []
    for seconds, is_cancelled in alarms:
        alarm = clock.call_later(seconds, lambda seconds=seconds: rung.append((seconds, clock.monotonic())))
        if is_cancelled:
            alarm.cancel()
    clock.advance(span)
    assert clock.monotonic() == pytest.approx(span, abs=1e-6)
    while clock.jump():
        pass
    assert [seconds for seconds, _ in rung] == sorted(seconds for seconds, is_cancelled in alarms if not is_cancelled)
    assert all(-1e-9 <= at - seconds <= 2e-6 for seconds, at in rung)
