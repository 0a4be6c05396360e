"""Clocks that are set, and time that passes while nobody drives a run."""

from __future__ import annotations

import asyncio
import time

from flowmetal.journal import event_reading, events
from flowmetal.journal.keys import events_range
from flowmetal.testing.clocks import ShiftedClock
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
