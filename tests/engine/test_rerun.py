"""A rerun takes over what was Ok, wherever in the tree, and does the rest anew, with whatever code is there today."""

from __future__ import annotations

from collections import Counter
from typing import Any

from flowmetal.actions.effect import EffectFailure
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import MAIN, Lab, failure_of, value_of

TEXT = """
def _fetch(fctx, name):
    return unwrap(fctx.actions.read(name))

fetch = flow(_fetch)

def _load(fctx, names):
    a = fctx.actions
    first = [unwrap(fetch(name)) for name in names]
    tasks = [a.run(effects.append, "out", name) for name in first]
    a.wait(tasks)
    return unwrap(a.read("broken"))

collect = flow(_load)

def _main(fctx):
    a = fctx.actions
    chance = a.random()
    unwrap(a.read("head"))
    return [unwrap(collect(["a", "b"])), chance]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


class World:
    """Counts what is done; `broken` fails until it is mended."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.broken = True

    def __call__(self, args: Any) -> str:
        what = args.get("text", args["path"])
        self.done[what] += 1
        if what == "broken" and self.broken:
            raise EffectFailure("not there yet")
        return f"<{what}>"


def test_a_rerun_does_only_what_was_not_ok(lab: Lab) -> None:
    world = World()
    lab.registry = scripted("inline", read=world, append=world)
    assert failure_of(lab.run(TEXT, "first")).kind == "effect"
    before = lab.tree("first")
    world.broken = False
    value = value_of(lab.run(TEXT, "second", rerun_of="first"))
    assert value[0] == "<broken>"
    assert world.done == {"head": 1, "a": 1, "b": 1, "<a>": 1, "<b>": 1, "broken": 2}
    assert lab.tree("first") == before, "the run it is of is left as it was"
    header = lab.journal.header("second.1.3")
    assert header is not None
    assert (header.name, header.rerun_of) == ("collect", "first.1.3")
    randoms = [
        next(e.fields["value"] for e in lab.events(f"{root}.1") if e.fields.get("callee") == "random")
        for root in ("first", "second")
    ]
    assert randoms[0] != randoms[1]
    assert value_of(lab.resume("second")) == value
    assert list(lab.journal.verify()) == []


def test_a_rerun_of_other_code_does_what_has_changed(lab: Lab) -> None:
    world = World()
    lab.registry = scripted("inline", read=world, append=world)
    failure_of(lab.run(TEXT, "first"))
    world.broken = False
    changed = TEXT.replace('collect(["a", "b"])', 'collect(["a", "c", "a"])')
    value_of(lab.run(changed, "second", rerun_of="first"))
    # Other arguments are another call of collect, with nothing to take over.
    assert world.done == {"head": 1, "a": 3, "b": 1, "c": 1, "<a>": 3, "<b>": 1, "<c>": 1, "broken": 2}


def test_a_rerun_from_an_action_takes_over_only_what_came_before_it(lab: Lab) -> None:
    world = World()
    world.broken = False
    lab.registry = scripted("inline", read=world, append=world)
    value_of(lab.run(TEXT, "first"))
    (cut,) = [
        sequence
        for sequence, event in lab.journal.history("first.1.3")
        if event.kind == "action" and event.fields["number"] == 2
    ]
    value_of(lab.run(TEXT, "second", rerun_of="first", rerun_upto=cut - 1))
    assert world.done == {"head": 1, "a": 1, "b": 2, "<a>": 2, "<b>": 2, "broken": 2}


def test_a_rerun_that_is_killed_goes_on(lab: Lab) -> None:
    world = World()
    lab.registry = scripted("inline", read=world, append=world)
    failure_of(lab.run(TEXT, "first"))
    failure_of(lab.run(TEXT, "second", rerun_of="first"))
    world.broken = False
    # A rerun of a rerun takes over what that took over.
    value_of(lab.run(TEXT, "third", rerun_of="second"))
    assert world.done == {"head": 1, "a": 1, "b": 1, "<a>": 1, "<b>": 1, "broken": 3}


LIBRARY = """
def peek(fctx):
    return fctx.actions.read("head")
"""

LENT = """
load("./lib.flow", "peek")

def _main(fctx, _):
    mine = %s
    return Err("not to be taken over", seen = [mine.ok, mine.error.kind if mine.error else ""])

main = flow(_main)

if __name__ == "__flow__":
    main(1)
"""


def test_what_one_module_was_granted_is_not_taken_over_for_another(lab: Lab) -> None:
    """The root read a file; asked for by a module that is granted nothing, the same is denied."""
    world = World()
    lab.registry = scripted("inline", read=world)
    lab.allow_for = (("//lib.flow", "none"),)

    def run(mine: str, run_id: str, **more: Any) -> Any:
        failure = failure_of(lab.run({"//lib.flow": LIBRARY, MAIN: LENT % mine}, run_id, **more))
        return failure.details["dict"][1]

    assert run('fctx.actions.read("head")', "first") == [True, ""]
    assert run("peek(fctx)", "second", rerun_of="first") == [False, "denied"]
    assert run('fctx.actions.read("head")', "third", rerun_of="first") == [True, ""]
    assert world.done["head"] == 1
