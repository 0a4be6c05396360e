"""What is done for a run that is cancelled, or has failed: cleanups within their grace, compensations, handlers.

The clock is simulated, so that what sleeps an hour is where it is when everything else has come to rest.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.engine.engine import Outcome
from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, failure_of, in_loop, make_lab, value_of

FLOWS = """
load("pkg.flowmetal.io/v1/recovery", "finally_", "saga", "step")

def _note(fctx, what, pause = None, fails = False):
    unwrap(fctx.actions.append("log.txt", what + "\\n"))
    if pause:
        sleep(pause)
        unwrap(fctx.actions.append("log.txt", "end of " + what + "\\n"))
    return fail("cannot " + what) if fails else what

note = flow(_note)
undo = flow(lambda fctx, value: note("undo " + value))
undo_slowly = flow(lambda fctx, value: note("undo " + value, "20s"))
undo_in_vain = flow(lambda fctx, value: note("undo " + value, fails = True), retries = 1, retry_delay = "1s")
hang = flow(lambda fctx, *args: sleep("1h"))
told = flow(lambda fctx, failure, run: note("told of %s, %d, %s" % (failure.kind, run.attempts, run.name)))

def _cancelled(f, *args, after = "1m"):
    task = run(f, *args)
    sleep(after)
    note("cancel")
    cancel(task)
    result = wait(task)
    note("over")
    return result

def _kinds(result):
    failed = result.error.details.get("cleanup")
    failed = [] if failed == None else failed if type(failed) == "list" else [failed]
    return [result.error.kind, [it.kind for it in failed]]
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A home whose time is simulated."""
    made = make_lab(tmp_path, clock=SimulatedClock(0))
    yield made
    made.store.close()


def program(flows: str, main: str) -> str:
    """The flows above, others, and a body that runs ``main``, an expression."""
    guard = 'if __name__ == "__flow__":\n    main()\n'
    return f"{FLOWS}\n{flows}\n\nmain = flow(lambda fctx: {main})\n\n{guard}"


def said(lab: Lab) -> list[str]:
    """The lines that flows have noted."""
    log = lab.base / "log.txt"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


WAYS: list[tuple[str, str, list[str], Any]] = [
    # what is cancelled, the text of `f`, what is noted after `cancel`, kinds of failures of its cleanups
    (
        "finally_",
        'f = flow(lambda fctx: finally_(hang, flow_of_note)("a"))\nflow_of_note = flow(lambda fctx, x: note(x))',
        ["a"],
        None,
    ),
    (
        "the last registered first",
        'def _f(fctx):\n    for it in "abc".elems():\n        defer(undo, [it])\n    hang()\nf = flow(_f)',
        ["undo c", "undo b", "undo a"],
        None,
    ),
    (
        "what was run or released is not run again",
        "def _f(fctx):\n"
        '    a, b, c = defer(undo, ["a"]), defer(undo, ["b"]), defer(undo, ["c"])\n'
        "    clean(c)\n    release([b])\n    hang()\n"
        "f = flow(_f)",
        ["undo a"],
        None,
    ),
    (
        "the innermost first",
        'inner = flow(lambda fctx: [defer(undo, ["in"]), hang()])\n'
        "middle = flow(lambda fctx: inner())\n"
        'f = flow(lambda fctx: [defer(undo, ["out"]), middle()])',
        ["undo in", "undo out"],
        None,
    ),
    (
        "no longer than its grace, and the next all the same",
        'f = flow(lambda fctx: [defer(undo, ["b"]), defer(undo_slowly, ["a"], grace = "10s"), hang()])',
        ["undo a", "undo b"],
        ["timeout"],
    ),
    (
        "within its grace",
        'f = flow(lambda fctx: [defer(undo_slowly, ["a"], grace = "30s"), hang()])',
        ["undo a", "end of undo a"],
        None,
    ),
    (
        "a cleanup that is tried again keeps its grace",
        'g = flow(lambda fctx: note("try", "4s", fails = True), retries = 9, retry_delay = "1s")\n'
        'f = flow(lambda fctx: [defer(g, grace = "10s"), hang()])',
        ["try", "end of try", "try", "end of try"],
        ["failed"],
    ),
    (
        "one that fails keeps none from being run",
        'f = flow(lambda fctx: [defer(undo, ["b"]), defer(undo_in_vain, ["a"]), hang()])',
        ["undo a", "undo a", "undo b"],
        ["failed"],
    ),
    (
        "one that is under way is let be",
        "f = flow(lambda fctx: finally_(lambda: Ok(1), flow(lambda fctx: 0))())\n"
        'slow = flow(lambda fctx: note("slow", "70s"))\n'
        'f = flow(lambda fctx: [defer(undo, ["x"]), clean(defer(slow, grace = "15s"))])',
        ["end of slow", "undo x"],
        None,
    ),
    (
        "a saga between two steps",
        "f = flow(lambda fctx: saga([step(note, undo), step(note, undo), step(hang)])('a'))\n",
        ["undo a", "undo a"],
        None,
    ),
    (
        "a saga whose step is under way: it is not Ok",
        'late = flow(lambda fctx, x: note(x, "1h"))\n'
        'f = flow(lambda fctx: saga([step(note, undo), step(late, undo)])("a"))',
        ["undo a"],
        None,
    ),
    (
        "a saga that undoes already",
        'f = flow(lambda fctx: saga([step(note, undo), step(note, undo_later), step(never)])("a"))\n'
        'undo_later = flow(lambda fctx, x: note("undo later", "65s"))\nnever = flow(lambda fctx, x: fail("no"))',
        ["end of undo later", "undo a"],
        None,
    ),
]


@pytest.mark.parametrize(("flows", "noted", "kinds"), [each[1:] for each in WAYS], ids=[each[0] for each in WAYS])
def test_cancelled_by_its_caller(lab: Lab, flows: str, noted: list[str], kinds: list[str] | None) -> None:
    kind, failed = value_of(lab.run(program(flows, "_kinds(_cancelled(f))")))
    lines = said(lab)
    assert (kind, lines[lines.index("cancel") + 1 :]) == ("cancelled", [*noted, "over"])
    assert failed == (kinds or [])
    assert list(lab.journal.verify()) == []


def test_all_cleanups_have_one_limit(lab: Lab) -> None:
    lab.limits = Limits(cleanup_seconds=25.0)
    flows = 'f = flow(lambda fctx: [defer(undo_slowly, [it], grace = "1h") for it in ["a", "b", "c"]] + [hang()])'
    value_of(lab.run(program(flows, "_cancelled(f).error.kind")))
    assert said(lab) == ["cancel", "undo c", "end of undo c", "undo b", "over"]


def test_a_flow_whose_time_is_up_cleans_up_before_it_is_tried_again(lab: Lab) -> None:
    flows = 'f = flow(lambda fctx: [defer(undo, ["try %d" % fctx.attempt]), hang()], timeout = "5s", retries = 1)'
    assert value_of(lab.run(program(flows, "f().error.kind"))) == "timeout"
    assert said(lab) == ["undo try 1", "undo try 2"]


def test_the_losers_of_a_race_clean_up(lab: Lab) -> None:
    flows = (
        'quick = flow(lambda fctx: sleep("1s"))\n'
        'slow = flow(lambda fctx: finally_(hang, over)())\nover = flow(lambda fctx: note("cleaned", "5s"))'
    )
    value_of(lab.run(program(flows, "race([run(slow), run(quick)])")))
    assert said(lab) == ["cleaned", "end of cleaned"]


ENDS = [
    # what a flow does after it has registered a and b, its Result
    ("return 7", "[True, 7]"),
    ('fail("mine")', '[False, "mine"]'),
    ("return [][0]", "[False, None]"),
    ('release(a)\n    return Err("x")', '[False, "x"]'),
]


@pytest.mark.parametrize(("rest", "expected"), ENDS)
def test_what_is_left_at_the_end_is_run_then(lab: Lab, rest: str, expected: str) -> None:
    flows = f'def _f(fctx):\n    a, b = defer(undo, ["a"]), defer(undo, ["b"])\n    {rest}\nf = flow(_f)\n'
    flows += "def _told(r):\n    return [r.ok, r.value or (r.error.message if r.error.kind == 'failed' else None)]\n"
    ok, value = value_of(lab.run(program(flows, "_told(f())")))
    assert repr([ok, value]).replace("'", '"') == expected
    assert said(lab) == (["undo b"] if "release" in rest else ["undo b", "undo a"])


def test_a_cleanup_that_is_left_and_fails_spoils_an_ok(lab: Lab) -> None:
    flows = 'f = flow(lambda fctx: [defer(undo_in_vain, ["a"]), 1])'
    text = program(flows, "[f().error.message, f().error.cause.message]")
    assert value_of(lab.run(text)) == ["a cleanup failed", "cannot undo a"]


def test_steps_that_were_undone_are_done_anew_by_the_next_attempt(lab: Lab) -> None:
    flows = (
        'def _f(fctx):\n    pay = lambda x: Err("no money") if fctx.attempt == 1 else Ok(1)\n'
        '    return saga([step(note, undo), step(pay)])("seat")\nf = flow(_f, retries = 1)'
    )
    assert value_of(lab.run(program(flows, "f().value"))) == ["seat", 1]
    assert said(lab) == ["seat", "undo seat", "seat"]


# -- from outside, and kills ---------------------------------------------------------------------------

SLEEPER = program(
    'inner = flow(lambda fctx: finally_(hang, give_back, grace = "20s")("inner"))\n'
    'give_back = flow(lambda fctx, what: note("give back " + what, "5s"))\n'
    'f = flow(lambda fctx: finally_(lambda what: inner(), give_back)("outer"))',
    "[f(), note('after')]",
)
CLEANED = ["give back inner", "end of give back inner", "give back outer", "end of give back outer"]


def life_of(lab: Lab, *steps: Any) -> Outcome:
    """Begins the run and does what ``steps`` say with an engine each; the end of the run."""

    async def life() -> Outcome:
        for step in steps:
            with lab.engine() as engine:
                outcome = await step(engine)
                await engine.stop()
        return outcome  # type: ignore[no-any-return]

    return in_loop(life)


async def until(lab: Lab, condition: Any) -> None:
    for _ in range(2_000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Lab]:
    """A home whose time is real."""
    made = make_lab(tmp_path)
    yield made
    made.store.close()


def is_asleep(lab: Lab) -> bool:
    return any(each.name == "hang" and each.wake_at_ms for each in lab.journal.descendants("r"))


def test_cancelled_while_nobody_drives_it(real: Lab) -> None:
    async def begin(engine: Any) -> None:
        await real.start(engine, SLEEPER.replace('"5s"', '"5ms"'))
        await until(real, lambda: is_asleep(real))

    async def end(engine: Any) -> Outcome:
        engine.adopt("r")
        engine.cancel("r", "enough")
        return await engine.outcome("r")  # type: ignore[no-any-return]

    outcome = life_of(real, begin, end)
    assert failure_of(outcome).kind == outcome.header.status == "cancelled"
    assert said(real) == CLEANED
    assert real.journal.require("r").status == "cancelled"


def test_an_engine_that_ends_amid_a_cleanup_leaves_the_rest_to_the_next(real: Lab) -> None:
    async def begin(engine: Any) -> None:
        await real.start(engine, SLEEPER.replace('"5s"', '"300ms"'))
        await until(real, lambda: is_asleep(real))
        engine.cancel("r", "enough")
        await until(real, lambda: "give back inner" in said(real))
        assert real.journal.require("r").status == "running"

    life_of(real, begin)
    failure = failure_of(real.resume())
    assert (failure.kind, said(real)) == ("cancelled", CLEANED)


def test_asked_once_more_it_ends_at_once(real: Lab) -> None:
    async def end(engine: Any) -> Outcome:
        await real.start(engine, SLEEPER.replace('"5s"', '"1h"'))
        await until(real, lambda: is_asleep(real))
        engine.cancel("r", "enough")
        await until(real, lambda: said(real))
        engine.cancel("r", "now")
        return await engine.outcome("r")  # type: ignore[no-any-return]

    assert failure_of(life_of(real, end)).kind == "cancelled"
    assert said(real) == CLEANED[:1]
    assert {each.status for each in real.journal.descendants("r")} == {"cancelled"}


def test_at_once_from_the_beginning(real: Lab) -> None:
    async def end(engine: Any) -> Outcome:
        await real.start(engine, SLEEPER)
        await until(real, lambda: is_asleep(real))
        engine.cancel("r", "now", at_once=True)
        return await engine.outcome("r")  # type: ignore[no-any-return]

    assert failure_of(life_of(real, end)).kind == "cancelled"
    assert said(real) == []


def test_nothing_is_cleaned_up_beside_an_effect_that_has_yet_to_end(real: Lab) -> None:
    real.allow = ("exec=sh", "read=.", "write=.")
    last_words = "trap 'sleep 0.3; echo program >> log.txt; exit 0' TERM; echo > up.txt; while :; do sleep 0.02; done"
    flows = (
        f'f = flow(lambda fctx: [defer(undo, ["it"]), exec_it(fctx)])\n'
        f'exec_it = lambda fctx: fctx.actions.exec(["sh", "-c", {json.dumps(last_words)}])'
    )

    async def end(engine: Any) -> Outcome:
        await real.start(engine, program(flows, "f()"))
        await until(real, lambda: (real.base / "up.txt").exists())
        engine.cancel("r", "enough")
        return await engine.outcome("r")  # type: ignore[no-any-return]

    assert failure_of(life_of(real, end)).kind == "cancelled"
    assert said(real) == ["program", "undo it"]


# -- handlers of failures ------------------------------------------------------------------------------

FAILURES = [
    # what a flow does, its settings, what its handler notes
    ('fail("no")', "", ["told of failed, 1, f"]),
    ('fail("no")', "retries = 2,", ["told of failed, 3, f"]),
    ('fail("no") if fctx.attempt < 3 else 1', "retries = 2,", []),
    ("hang()", 'timeout = "1s",', ["told of timeout, 1, f"]),
    ('[defer(undo, ["a"]), hang()]', 'timeout = "1s",', ["undo a", "told of timeout, 1, f"]),
]


@pytest.mark.parametrize(("body", "settings", "noted"), FAILURES)
def test_a_handler_is_told_of_the_last_failure(lab: Lab, body: str, settings: str, noted: list[str]) -> None:
    text = program(f"f = flow(lambda fctx: {body}, {settings} on_failure = told)", "f().ok")
    assert value_of(lab.run(text)) is (not noted)
    assert said(lab) == noted


def test_a_handler_of_a_whole_run(lab: Lab) -> None:
    text = program('f = flow(lambda fctx: fail("no"), on_failure = told)', "1")
    assert failure_of(lab.run(text, name="f")).message == "no"
    assert said(lab) == ["told of failed, 1, f"]


def test_a_handler_that_fails_hides_nothing(lab: Lab) -> None:
    flows = (
        'worse = flow(lambda fctx, failure, run: fail("worse"), on_failure = told)\n'
        'f = flow(lambda fctx: fail("bad", n = 1), on_failure = worse)\n'
        "def _told(error):\n    return [error.message, error.details['n'], error.details['on_failure'].message]"
    )
    assert value_of(lab.run(program(flows, "_told(f().error)"))) == ["bad", 1, "worse"]
    assert said(lab) == ["told of failed, 1, worse"]


def test_no_handler_of_a_cancel(lab: Lab) -> None:
    text = program("f = flow(lambda fctx: hang(), on_failure = told)", "_cancelled(f).error.kind")
    assert value_of(lab.run(text)) == "cancelled"
    assert said(lab) == ["cancel", "over"]
