"""`max_parallel` of a run: how many flows and effects of its whole tree are under way at once."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmetal.actions.effect import EffectFailure
from flowmetal.engine.gates import Gate
from flowmetal.engine.parallel import Parallel
from flowmetal.journal.headers import Header
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import Lab, in_loop, value_of
from flowmetal.values import pack
from tests.engine.test_policies import main_of


class Busy:
    """An effect that takes a while; knows how many were under way at once, and in which order they began."""

    def __init__(self, seconds: float = 0.03) -> None:
        self.now = self.most = 0
        self.order: list[str] = []
        self._seconds = seconds

    async def __call__(self, args: Any) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        self.order.append(args["path"])
        try:
            await asyncio.sleep(self._seconds)
        finally:
            self.now -= 1
        return str(args["path"])


TREE = """
def _leaf(fctx, name):
    return unwrap(fctx.actions.read(name))

leaf = flow(_leaf)

def _branch(fctx, name, depth):
    a = fctx.actions
    if depth == 0:
        return [leaf(name).value]
    tasks = [a.run(branch, "%s%d" % (name, n), depth - 1) for n in range(3)]
    tasks.append(a.run(effects.read, name + "!"))
    unwrap(branch(name + "-", depth - 1))
    return [unwrap(it) for it in a.wait(tasks)]

branch = flow(_branch)
"""


@pytest.mark.parametrize("places", [1, 2, 5])
def test_a_whole_tree_keeps_to_the_places_of_its_root(lab: Lab, places: int) -> None:
    """Also where flows wait for flows that wait for flows: with one place too, all goes on to its end."""
    calm, busy = Busy(0), Busy(0.03)
    lab.registry = scripted("async", read=calm)
    body = 'return unwrap({}(branch)("b", 2))'
    free = value_of(lab.run(TREE + main_of(body.format("")), "free"))
    lab.registry = scripted("async", read=busy)
    kept = TREE + main_of(body.format("limited")).replace(
        "def _main", f"limited = lambda f: options(f, max_parallel = {places})\n\ndef _main"
    )
    assert value_of(lab.run(kept, "kept")) == free
    assert busy.most == places
    assert sorted(busy.order) == sorted(calm.order)


@pytest.mark.parametrize("name", ["", "main"])
def test_a_limit_of_the_main_flow_and_one_below_it_both_hold(lab: Lab, name: str) -> None:
    """The main flow being a child of its file's body, or the root itself."""
    busy = Busy()
    lab.registry = scripted("async", read=busy)
    text = """
def _inner(fctx, name):
    return len(fctx.actions.wait([fctx.actions.run(effects.read, "%s%d" % (name, n)) for n in range(6)]))

inner = flow(_inner)

def _main(fctx):
    a = fctx.actions
    return sum([unwrap(it) for it in a.wait([a.run(options(inner, max_parallel = 2), name) for name in "ab".elems()])])

main = flow(_main, max_parallel = 3)

if __name__ == "__flow__":
    main()
"""
    assert value_of(lab.run(text, name=name)) == 12
    assert busy.most == 3
    assert [name for name in busy.order if name[0] == "a"] == [f"a{n}" for n in range(6)], "in the order asked for"


def test_thousands_wait_their_turn_and_what_is_refused_at_once_is_no_recursion(lab: Lab) -> None:
    calls: list[str] = []

    def refuse(args: Any) -> str:
        calls.append(args["path"])
        raise EffectFailure("no")

    lab.registry = scripted("inline", read=refuse)
    text = main_of("return len([it for it in a.wait([a.run(effects.read, str(n)) for n in range(1500)]) if not it.ok])")
    text = text.replace("flow(_main)", "flow(_main, max_parallel = 1)")
    assert value_of(lab.run(text)) == 1500
    assert calls == [str(n) for n in range(1500)]


def test_what_had_yet_to_begin_leaves_no_doubt_after_a_kill(lab: Lab) -> None:
    """Four are cut off; the others were waiting, so that `interrupted = "never"` says nothing of them."""
    stuck = Busy(3600)
    text = main_of(
        'return [it.error.kind if not it.ok else it.value for it in a.wait([a.run(options(effects.read, interrupted = "never"), str(n)) for n in range(9)])]'  # noqa: E501
    ).replace("flow(_main)", "flow(_main, max_parallel = 4)")

    async def begin() -> None:
        lab.registry = scripted("async", read=stuck)
        with lab.engine() as engine:
            await lab.start(engine, text)
            while stuck.most < 4:
                await asyncio.sleep(0.01)
            await engine.stop()

    in_loop(begin)
    busy = Busy(0)
    lab.registry = scripted("async", read=busy)
    assert value_of(lab.resume()) == ["interrupted"] * 4 + [str(n) for n in range(4, 9)]
    assert stuck.order == ["0", "1", "2", "3"]
    assert busy.order == [str(n) for n in range(4, 9)]


def test_a_cancelled_one_gives_its_place_and_a_waiting_one_never_begins(lab: Lab) -> None:
    busy = Busy(0.02)
    lab.registry = scripted("async", read=busy)
    text = main_of(
        """
tasks = [a.run(effects.read, str(n)) for n in range(6)]
a.cancel(tasks[0])
a.cancel(tasks[3])
return [it.ok for it in a.wait(tasks)]
""".strip()
    ).replace("flow(_main)", "flow(_main, max_parallel = 2)")
    assert value_of(lab.run(text)) == [False, True, True, False, True, True]
    assert "3" not in busy.order
    assert busy.most == 2


def test_it_is_the_same_when_replayed_from_any_slice_of_its_journal(lab: Lab) -> None:
    """Runs that go cold and come back hold what they hold."""
    busy = Busy(0.02)
    lab.registry = scripted("async", read=busy)
    lab.limits = type(lab.limits)(hot_runs=2)
    text = TREE + main_of('return unwrap(options(branch, max_parallel = 3)("b", 2))')
    assert len(str(value_of(lab.run(text)))) > 100
    assert busy.most == 3
    assert not [event for events in lab.tree().values() for event in events if event.fields.get("repeated")]


@pytest.mark.parametrize("wrong", ["0", "-1", "True", "2.0", '"4"'])
def test_limits_that_are_none_are_refused_where_they_are_written(lab: Lab, wrong: str) -> None:
    from flowmetal.errors import LanguageError

    with pytest.raises(LanguageError, match=re.escape("`max_parallel` is a whole number from 1 to 1,000,000")):
        lab.run(f"f = flow(lambda fctx: 1, max_parallel = {wrong})\n")


# -- the rule ------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_leaves_never_outnumber_the_places_and_all_comes_to_its_end(data: st.DataObject) -> None:
    """Random trees of runs with random limits, driven by a random order of ends, against a count of leaves.

    Some of what has begun rests for a while, and is not counted meanwhile.
    """
    resting: set[tuple[str, int]] = set()
    begun: list[tuple[str, int]] = []
    parallel = Parallel(lambda run_id, number: begun.append((run_id, number)))
    limits: dict[str, int] = {}
    under_way: dict[str, set[int]] = {}
    planned: list[str] = []

    def begin_run(run_id: str) -> None:
        places = data.draw(st.sampled_from([None, None, 1, 2, 3]), "limit") if run_id != "r" else 2
        policy = b"" if places is None else pack({"dict": ["max_parallel", places]})
        parallel.limit(Header(run_id, "f", "f", "r", 0, parent=run_id.rpartition(".")[0], policy=policy))
        if places is not None:
            limits[run_id] = places
        under_way[run_id] = set()
        most = 4 if run_id.count(".") < 2 else 0
        planned.extend([run_id] * data.draw(st.integers(0 if run_id != "r" else 1, most), "asks"))

    def leaves(run_id: str) -> int:
        return sum(leaf(run_id, n) for n in under_way.get(run_id, ()))

    def leaf(run_id: str, number: int) -> int:
        if under_way.get(f"{run_id}.{number}"):
            return leaves(f"{run_id}.{number}")
        return int((run_id, number) not in resting)

    def end(run_id: str, number: int) -> None:
        resting.discard((run_id, number))
        under_way[run_id].discard(number)
        child = f"{run_id}.{number}"
        if under_way.pop(child, None) is not None:
            parallel.forget(child)
            limits.pop(child, None)
        parallel.leave(run_id, number)

    numbers = iter(range(1, 10_000))
    begin_run("r")
    while planned or under_way["r"]:
        ready = [(run_id, n) for run_id, inside in under_way.items() for n in inside]
        ready = [
            place
            for place in ready
            if not under_way.get("{}.{}".format(*place)) and "{}.{}".format(*place) not in planned
        ]
        if planned and (not ready or data.draw(st.booleans(), "ask")):
            run_id = planned.pop(data.draw(st.integers(0, len(planned) - 1), "who"))
            number = next(numbers)
            if parallel.may_start(run_id, number):
                begun.append((run_id, number))
        else:
            assert ready, "nothing can end, and something waits"
            run_id, number = data.draw(st.sampled_from(ready), "ends")
            if f"{run_id}.{number}" in under_way or data.draw(st.booleans(), "is over"):
                parallel.rouse(run_id, number, partial(end, run_id, number))
            else:
                resting.add((run_id, number))
                parallel.rest(run_id, number)
        while begun:
            run_id, number = begun.pop(0)
            under_way[run_id].add(number)
            begin_run(f"{run_id}.{number}")
        assert all(leaves(run_id) <= places for run_id, places in limits.items())
    parallel.forget("r")
    assert not parallel.is_limited("r")


def test_a_gate_counts_a_flow_with_what_it_waits_for() -> None:
    gate = Gate("r", 1)
    gate.enter("r", 1)
    assert not gate.has_room("r")
    assert gate.has_room("r.1"), "it takes the place of the flow that asks"
    gate.enter("r.1", 1)
    assert not gate.has_room("r.1")
    gate.leave("r.1", 1)
    gate.leave("r", 1)
    assert gate.has_room("r")


WAITING = {
    "a message": """
def _waits(fctx, boss):
    unwrap(fctx.actions.signal(boss, "here", fctx.run_id))
    return unwrap(fctx.actions.receive("go"))

waits = flow(_waits)
tells = flow(lambda fctx, them: unwrap(fctx.actions.signal(them, "go", 7)))

def _main(fctx):
    a = fctx.actions
    task = a.run(waits, fctx.run_id)
    them = unwrap(a.receive("here"))
    unwrap(a.wait(a.run(tells, them)))
    return unwrap(a.wait(task))
""",
    "a key": """
work = flow(lambda fctx: 7)

def _asks(fctx):
    fctx.actions.sleep("10ms")
    return unwrap(options(work, idempotency_key = "k")())

asks = flow(_asks)

def _main(fctx):
    a = fctx.actions
    tasks = [a.run(asks), a.run(options(work, idempotency_key = "k"))]
    return [unwrap(it) for it in a.wait(tasks)][0]
""",
}


@pytest.mark.parametrize("waited_for", WAITING)
def test_what_waits_for_another_part_of_the_tree_takes_no_place(lab: Lab, waited_for: str) -> None:
    """Else the one place would be held by who waits, and never be had by who is waited for."""
    text = WAITING[waited_for] + '\nmain = flow(_main, max_parallel = 1)\n\nif __name__ == "__flow__":\n    main()\n'
    assert value_of(lab.run(text, name="main", seconds=20)) == 7


@pytest.mark.parametrize("ends", ["a.signal(them, 'go', 1)", "None"])
def test_many_that_have_waited_go_on_as_there_is_room(lab: Lab, ends: str) -> None:
    """Their messages, or the ends of their patience, come nearly at once."""
    busy = Busy()
    lab.registry = scripted("async", read=busy)
    text = """
def _waits(fctx, boss, name):
    a = fctx.actions
    unwrap(a.signal(boss, "here", fctx.run_id))
    came = a.receive("go", timeout = "300ms")
    return [came.ok, unwrap(a.read(name))][0]

waits = flow(_waits)

def _main(fctx):
    a = fctx.actions
    tasks = [a.run(waits, fctx.run_id, str(n)) for n in range(8)]
    for them in [unwrap(a.receive("here")) for _ in tasks]:
        ENDS
    return sum([1 for it in a.wait(tasks) if unwrap(it)])

main = flow(_main, max_parallel = 2)
""".replace("ENDS", ends)
    assert value_of(lab.run(text, name="main", seconds=20)) == (0 if ends == "None" else 8)
    assert busy.most == 2
    assert len(busy.order) == 8
