"""Ways to go on after an Err: a breaker on a clock that is simulated, and sagas of every shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.testing.harness import make_lab, value_of

BREAKER = """
load("pkg.flowmetal.io/v1/recovery", "circuit_breaker")

call = flow(lambda fctx, ok: None if ok else fail("down"))

def _main(fctx):
    called = []
    guarded = circuit_breaker(lambda ok: [called.append(ok), call(ok)][1], failures = 2, reset = "1m")
    other = circuit_breaker(call, failures = 1)
    told = []
    for pause, ok in SCRIPT:
        sleep(pause)
        before = len(called)
        r = guarded(ok)
        told.append([len(called) > before, r.ok, (r.error.details if r.error else {}).get("seconds_left")])
    return [told, other(True).ok]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""

STEPS: list[tuple[tuple[int, bool], tuple[bool, bool, int | None]]] = [
    # pause in seconds, whether the callee is up    whether it was called, whether that was Ok, seconds left
    ((0, False), (True, False, None)),
    ((0, True), (True, True, None)),
    ((0, False), (True, False, None)),
    ((0, False), (True, False, None)),  # the second in a row opens it
    ((0, True), (False, False, 60)),
    ((59, True), (False, False, 1)),
    ((1, False), (True, False, None)),  # one is let through, which opens it anew
    ((30, True), (False, False, 30)),
    ((30, True), (True, True, None)),  # and this one closes it
    ((0, False), (True, False, None)),
    ((0, True), (True, True, None)),
]


def test_circuit_breaker(tmp_path: Path) -> None:
    lab = make_lab(tmp_path, MemoryStore(), clock=SimulatedClock(0))
    script = repr([asked for asked, _ in STEPS])
    told, other = value_of(lab.run(BREAKER.replace("SCRIPT", script)))
    assert other is True
    assert [tuple(each) for each in told] == [expected for _, expected in STEPS]


SAGAS = """
load("pkg.flowmetal.io/v1/recovery", "saga", "step")

def _do(fctx, what, ok):
    log(what)
    return what if ok else fail(what)

do = flow(_do)

undo_ok = flow(lambda fctx, what: do("undo " + what, True))
undo_fails = flow(lambda fctx, what: do("undo " + what, False))
undo = {"ok": undo_ok, "fails": undo_fails, "none": None}

def _step(number, ok, how):
    return step(lambda: do(str(number), ok), undo[how])

def _main(fctx):
    told = []
    for plan in PLANS:
        r = saga([_step(number, ok, undo) for number, (ok, undo) in enumerate(plan)])()
        details = r.error.details if r.error else {}
        told.append([r.value, details.get("step"), details.get("undone"), list(details.get("not_undone", {}))])
    return told

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def saga_of(plan: list[tuple[bool, str]]) -> list[Any]:
    """What must come of a saga: its values; or the step that failed, what was undone, what could not be."""
    failed = next((at for at, (ok, _) in enumerate(plan) if not ok), None)
    if failed is None:
        return [[str(at) for at in range(len(plan))], None, None, []]
    back = list(reversed(range(failed)))
    return [None, failed, [at for at in back if plan[at][1] == "ok"], [at for at in back if plan[at][1] == "fails"]]


def test_sagas_of_three_steps(tmp_path: Path) -> None:
    undos = ("ok", "fails", "none")
    plans = [
        [(failed != at, undo) for at, undo in enumerate((first, second, "ok"))]
        for failed in (None, 0, 1, 2)
        for first in undos
        for second in undos
    ]
    lab = make_lab(tmp_path, MemoryStore())
    program = SAGAS.replace("PLANS", repr(plans))
    assert value_of(lab.run(program)) == [saga_of(plan) for plan in plans]
