"""What a flow declares to return holds wherever its result comes from: its end, a further try, an earlier run."""

from __future__ import annotations

from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, failure_of, value_of

STEP = """
def _step(fctx):
    unwrap(fctx.actions.append("log.txt", "."))
    return {value}

step = flow(_step{returns})

def _main(fctx):
    first = fctx.actions.run(step)
    results = [fctx.actions.wait(first), step()]
    unwrap(fctx.actions.read("missing"))
    return results

main = flow(_main)
"""


def text(value: str, returns: str = "") -> str:
    return STEP.replace("{value}", value).replace("{returns}", f", returns = {returns}" if returns else "")


def test_every_try_is_held_against_it(lab: Lab) -> None:
    flow = """
def _main(fctx):
    unwrap(fctx.actions.append("log.txt", "."))
    return fctx.attempt if fctx.attempt > 1 else "one"

main = flow(_main, returns = args.int(), retries = 2, retry_delay = "1ms")
"""
    assert value_of(lab.run(flow, name="main")) == 2
    assert (lab.base / "log.txt").read_text() == "."
    reasons = [event.fields["reason"] for event in lab.events() if event.kind == "attempt"]
    assert reasons == ['mistyped: main returns: int, got: string (must be an int, not "one" (string))  [main.flow:6]']


def test_a_run_of_its_own_ends_in_it(lab: Lab) -> None:
    flow = """
step = flow(lambda fctx: "x", returns = args.int())
main = flow(lambda fctx: unwrap(fctx.actions.start(options(step, id = "own"))))
"""
    assert value_of(lab.run(flow, name="main")) == "own"
    failure = failure_of(lab.resume("own"))
    assert (failure.kind, failure.flow, failure.source) == ("mistyped", "step", "main.flow:2")


def test_an_earlier_result_of_another_type_is_not_taken_over(lab: Lab) -> None:
    """A rerun has the code of today: what was Ok once may be none of what the flow says now that it returns."""
    assert failure_of(lab.run(text('"old"'), name="main")).kind == "effect"
    (lab.base / "missing").write_text("")
    fits = lab.run(text('"new"', "args.string()"), "a", name="main", rerun_of="r")
    assert [each["result"][1] for each in value_of(fits)] == ["old", "old"]
    other = lab.run(text("1", "args.int()"), "b", name="main", rerun_of="r")
    assert [each["result"][1] for each in value_of(other)] == [1, 1]


def test_it_is_the_same_on_replay(lab: Lab) -> None:
    """Int to float is one of the things that a type does, and the flow must see it each time."""
    flow = """
half = flow(lambda fctx: 1, returns = args.float())

def _main(fctx):
    found = [repr(unwrap(half())), repr(unwrap(fctx.actions.wait(fctx.actions.run(half))))]
    fctx.actions.sleep("1ms")
    unwrap(fctx.actions.append("log.txt", " ".join(found)))
    return found

main = flow(_main)
"""
    lab.limits = Limits(hot_runs=1)
    assert value_of(lab.run(flow, name="main")) == ["1.0", "1.0"]
    assert (lab.base / "log.txt").read_text() == "1.0 1.0"
