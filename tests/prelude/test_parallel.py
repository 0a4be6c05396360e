"""Many at once: how many are under way, and that it costs no more per item the more there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.testing.harness import make_lab, value_of
from tests.prelude.test_jobs import most_at_once

PROGRAM = """
def _nap(fctx, n):
    fctx.actions.sleep(n % 7)
    return n

nap = flow(_nap)

def _main(fctx):
    return [unwrap(it) for it in parallel_map(nap, range(COUNT), max_parallel = WIDTH)] == list(range(COUNT))

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


@pytest.mark.parametrize(("count", "width"), [(10_000, 10), (40, 1), (40, 100)])
def test_as_many_at_once_as_allowed(tmp_path: Path, count: int, width: int) -> None:
    lab = make_lab(tmp_path, clock=SimulatedClock(0))
    text = PROGRAM.replace("COUNT", str(count)).replace("WIDTH", str(width))
    assert value_of(lab.run(text, seconds=120)) is True
    history = lab.events("r.1")
    assert most_at_once(history) == min(count, width)
    # One action for each start and one for each wait that makes room: the rest is waited for without.
    asked = [event.fields["callee"] for event in history if event.kind == "action"]
    assert asked.count("wait_any") == max(0, count - width)
    assert len(asked) == count + max(0, count - width)


def test_results_that_are_there_come_in_their_order(tmp_path: Path) -> None:
    """Results that nobody waited for are given in the order in which they came."""
    text = """
def _nap(fctx, n):
    fctx.actions.sleep(n)
    return n

nap = flow(_nap)

def _main(fctx):
    tasks = [run(nap, n) for n in [5, 1, 4, 2, 3]]
    fctx.actions.sleep(10)
    order = []
    for _ in range(5):
        index, result = wait_any(tasks)
        tasks.pop(index)
        order.append(result.value)
    return order

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    lab = make_lab(tmp_path, MemoryStore(), clock=SimulatedClock(0))
    assert value_of(lab.run(text)) == [1, 2, 3, 4, 5]
