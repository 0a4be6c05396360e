"""What a flow gets from each core action, through a real worker and a real journal."""

from __future__ import annotations

import time

import pytest

from flowmetal.errors import StorageError
from flowmetal.settings import Limits
from flowmetal.testing.crashing import refusing_store
from flowmetal.testing.harness import Lab, failure_of, in_loop, value_of
from flowmetal.testing.workers import Evictor
from flowmetal.values import unpack

PRELUDE = """
def _echo(fctx, *args, **kwargs):
    return args[0] if args else kwargs

def _nap(fctx, duration, value = None):
    fctx.actions.sleep(duration)
    return value

def _note(fctx, text):
    return fctx.actions.append("log.txt", text + "\\n")

def _broken(fctx, code = 1):
    fail("broken", code = code)

echo, nap, note, broken = [flow(f) for f in [_echo, _nap, _note, _broken]]
"""


def body(text: str) -> str:
    """A program whose one flow is called by its script."""
    indented = "\n".join("    " + line for line in text.strip("\n").split("\n"))
    start = f"{PRELUDE}\ndef _main(fctx):\n    actions = fctx.actions\n{indented}\n\nmain = flow(_main)\n"
    return f'{start}\nif __name__ == "__flow__":\n    main()\n'


def test_detached_runs_are_roots_of_their_own(lab: Lab) -> None:
    text = body('return [unwrap(actions.start(options(note, id = "own"), "detached")), 1]')

    async def life() -> object:
        with lab.engine() as engine:
            await lab.start(engine, text)
            outcome = await engine.outcome("r")
            await engine.idle()
            return outcome

    outcome = in_loop(life)
    assert value_of(outcome) == ["own", 1]  # type: ignore[arg-type]
    own = lab.journal.require("own")
    assert (own.status, own.is_root, own.name) == ("ok", True, "note")
    assert (lab.base / "log.txt").read_text() == "detached\n"
    assert list(lab.journal.verify()) == []


def test_a_deadline_ends_the_run(lab: Lab) -> None:
    text = body('actions.run(nap, "1h")\nactions.sleep("1h")')
    failure = failure_of(lab.run(text, deadline_ms=int(time.time() * 1_000) + 800))
    assert failure.kind == "timeout"
    assert {header.status for header in lab.journal.descendants("r")} == {"cancelled"}


def test_a_deadline_that_passed_while_nobody_drove_the_run(lab: Lab) -> None:
    text = body('actions.sleep("1h")')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text, deadline_ms=int(time.time() * 1_000) + 200)

    in_loop(life)
    time.sleep(0.3)
    assert failure_of(lab.resume()).kind == "timeout"


@pytest.mark.parametrize("inline_depth", [1, 4])
def test_start_time_is_the_same_for_a_child_however_it_lives(lab: Lab, inline_depth: int) -> None:
    """The moment is part of an action's arguments, so that a replay with another one would be a mismatch."""
    lab.limits = Limits(inline_depth=inline_depth)
    lab.spawn = Evictor()
    text = """
def _child(fctx):
    fctx.actions.append("log.txt", fctx.started_at + "\\n")
    fctx.actions.sleep("5ms")
    fctx.actions.append("log.txt", fctx.started_at + "\\n")
    return fctx.started_at

child = flow(_child)

if __name__ == "__flow__":
    child()
"""
    started_at = value_of(lab.run(text))
    assert (lab.base / "log.txt").read_text() == f"{started_at}\n{started_at}\n"


def test_a_child_that_is_cancelled_before_its_turn_never_begins(lab: Lab) -> None:
    lab.limits = Limits(hot_runs=1)
    text = body(
        'task = actions.run(note, "never")\n'
        "actions.cancel(task)\n"
        "r = actions.wait(task)\n"
        'actions.sleep("50ms")\n'
        "return r.error.kind"
    )
    assert value_of(lab.run(text)) == "cancelled"
    assert not (lab.base / "log.txt").exists()
    assert list(lab.journal.verify()) == []


def test_tasks_that_wait_for_each_other_need_no_room(lab: Lab) -> None:
    """The run that waits must leave for the children that its tasks depend on."""
    lab.limits = Limits(hot_runs=1)
    text = body(
        'a = actions.run(nap, "5ms", 1)\n'
        'b = actions.run(nap, "5ms", a)\n'
        "c = actions.run(echo, b)\n"
        "return unwrap(actions.wait(c))"
    )
    assert value_of(lab.run(text, seconds=20)) == 1


def test_the_whole_chain_of_a_failed_graph_ends(lab: Lab) -> None:
    text = body(
        "task = actions.run(broken)\nfor _ in range(100):\n    task = actions.run(echo, task)\nr = actions.wait(task)\n"
        "return [r.error.kind, r.error.cause != None]"
    )
    assert value_of(lab.run(text)) == ["upstream", True]


def test_values_of_tasks_too_large_together(lab: Lab) -> None:
    text = """
def _big(fctx):
    return "x" * 600000

def _both(fctx, left, right):
    return len(left) + len(right)

big, both = flow(_big), flow(_both)

if __name__ == "__flow__":
    actions = current_flow().actions
    task = actions.run(both, actions.run(big), actions.run(big))
    first = wait(task).error
    second = both(actions.run(big), actions.run(big)).error
    print(first.kind, second.kind)
"""
    failure = failure_of(lab.run(text))
    assert failure.kind == "limit"
    assert [event.fields["text"] for event in lab.events() if event.kind == "log"] == ["limit limit"]


def test_flows_nested_too_deep_are_told_so(lab: Lab) -> None:
    text = """
def _down(fctx, left):
    return wait(fctx.actions.run(downs[0], left - 1)) if left else 0

down = flow(_down)
downs = [down]

if __name__ == "__flow__":
    down(300)
"""
    failure = failure_of(lab.run(text))
    assert failure.kind == "limit"
    assert "nested too deep" in failure.message


def test_blocking_calls_nested_too_deep_are_told_so(lab: Lab) -> None:
    text = """
def _down(fctx, left):
    return downs[0](left - 1) if left else 0

down = flow(_down)
downs = [down]

if __name__ == "__flow__":
    down(300)
"""
    failure = failure_of(lab.run(text))
    assert failure.kind == "limit"
    assert "nested too deep" in failure.message


def test_ten_thousand_outstanding_actions(lab: Lab) -> None:
    text = body(
        'tasks = [actions.run(effects.append, "log.txt", "%d\\n'
        '" % i) for i in range(10000)]\n'
        "return len([r for r in actions.wait(tasks) if r.ok])"
    )
    assert value_of(lab.run(text)) == 10_000
    assert len((lab.base / "log.txt").read_text().splitlines()) == 10_000


def test_a_thousand_sleepers_all_finish(lab: Lab) -> None:
    text = body(
        'tasks = [actions.run(nap, "300ms", i) for i in range(1000)]\n'
        "return sum([unwrap(r) for r in actions.wait(tasks)])"
    )
    assert value_of(lab.run(text)) == 499_500
    assert {header.status for header in lab.journal.descendants("r")} == {"ok"}


def test_a_late_task_goes_on_and_is_waited_for(lab: Lab) -> None:
    text = body(
        'task = actions.run(nap, "40ms", 7)\n'
        'late = actions.wait(task, timeout = "1ms")\n'
        "return [late.error.kind, late.error.details, unwrap(actions.wait(task))]"
    )
    assert value_of(lab.run(text)) == ["timeout", {"dict": ["running", True]}, 7]


def test_waiting_twice_for_one_task(lab: Lab) -> None:
    text = body(
        't = actions.run(nap, "5ms", 7)\n'
        "first = actions.wait([t, t, t])\n"
        "return [unwrap(r) for r in first] + [actions.wait_any([t, t])[0]]"
    )
    assert value_of(lab.run(text)) == [7, 7, 7, 0]


def test_an_effect_cancelled_in_flight_may_have_run(lab: Lab) -> None:
    text = body(
        'task = actions.run(effects.write, "file.txt", "text")\n'
        "actions.cancel(task)\n"
        "r = actions.wait(task)\n"
        "return [r.error.kind, r.error.details]"
    )
    kind, details = value_of(lab.run(text))
    assert kind == "cancelled"
    assert details == {"dict": ["may_have_run", True]}


def test_what_a_failing_flow_left_open_is_cancelled(lab: Lab) -> None:
    text = body('actions.run(nap, "1h")\nactions.run(echo, actions.run(nap, "1h"))\nfail("enough")')
    assert failure_of(lab.run(text)).message == "enough"
    assert {(each.name, each.status) for each in lab.journal.descendants("r.1")} == {("nap", "cancelled")}


def test_a_full_store_stops_the_run_and_nothing_is_lost(lab: Lab) -> None:
    text = body('for i in range(5):\n    unwrap(actions.append("log.txt", "%d\\n" % i))\nreturn "done"')
    real = lab.store
    lab.store = refusing_store(real, 6, StorageError("the disk refused: no space left on device"))
    outcome = lab.run(text)
    assert isinstance(outcome.error, StorageError)
    done = (lab.base / "log.txt").read_text().splitlines()
    lab.store = real
    assert value_of(lab.resume()) == "done"
    after = (lab.base / "log.txt").read_text().splitlines()
    assert sorted(set(after)) == ["0", "1", "2", "3", "4"]
    assert len(after) <= 6
    assert after[: len(done)] == done
    assert unpack(lab.journal.require("r").result)["result"][1] == "done"


@pytest.mark.parametrize("pause", ["10ms", "1h"])
def test_a_deadline_holds_for_all_attempts_together(lab: Lab, pause: str) -> None:
    text = f"""
def _again(fctx):
    fctx.actions.sleep("150ms")
    fail("no")

again = flow(_again, retries = 1000, retry_delay = "{pause}", backoff = "constant")
"""
    outcome = lab.run(text, name="again", seconds=20, deadline_ms=int(time.time() * 1_000) + 1_500)
    # An attempt that ends so late that no further one would begin in time has the last word.
    assert failure_of(outcome).kind in (("failed",) if pause == "1h" else ("failed", "timeout"))
    assert (outcome.header.attempt > 1) == (pause != "1h")


@pytest.mark.parametrize(
    ("work", "kind", "cleanup_seconds"), [('fail("no")', "failed", 300.0), ('fctx.actions.sleep("1h")', "timeout", 0.3)]
)
def test_a_deadline_holds_for_who_is_told_of_the_failure(
    lab: Lab, work: str, kind: str, cleanup_seconds: float
) -> None:
    """If it is over already, the handler has the time that cleanups have."""
    lab.limits = Limits(cleanup_seconds=cleanup_seconds)
    text = f"""
def _told(fctx, failure, run):
    unwrap(fctx.actions.append("log.txt", "told\\n"))
    fctx.actions.sleep("1h")

told = flow(_told)

def _work(fctx):
    {work}

work = flow(_work, on_failure = told)
"""
    deadline_ms = int(time.time() * 1_000) + 700
    assert failure_of(lab.run(text, name="work", seconds=20, deadline_ms=deadline_ms)).kind == kind
    assert (lab.base / "log.txt").read_text() == "told\n"
