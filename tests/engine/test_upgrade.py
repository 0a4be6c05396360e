"""Runs that are under way go on with other code if it asks for all that they have asked for, and else stay."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.engine.upgrading import Upgrader, Verdict
from flowmetal.errors import LanguageError, RunBusyError
from flowmetal.journal import ownership
from flowmetal.journal.code_change import NewCode, change_code
from flowmetal.testing.harness import MAIN, Lab, Program, in_loop, make_lab, sources_of, value_of
from flowmetal.values import pack
from tests.engine.upgrade_process import NEW, OLD

ARGS = pack([["n"], []])


def interrupted(
    lab: Lab, text: Program, is_there: Callable[[], object] | None = None, run_id: str = "r", name: str = "main"
) -> None:
    """Starts a run and gives it up when it is where it is wanted: by default when all of its tree waits."""

    def waits() -> bool:
        with_all = [lab.journal.require(run_id), *lab.journal.descendants(run_id)]
        live = [each for each in with_all if not each.is_finished]
        parents = {each.parent for each in live}
        return all(each.wake_action is not None for each in live if each.run_id not in parents)

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text, run_id, name=name, args=ARGS)
            for _ in range(2_000):
                await asyncio.sleep(0.01)
                if (is_there or waits)():
                    return
            raise AssertionError("it never came that far")

    in_loop(life)


def upgraded(lab: Lab, text: Program, run_id: str = "r", *, dry: bool = False) -> Verdict:
    """What becomes of a run that is to go on with a text."""

    async def life() -> Verdict:
        (lab.home / "engines").mkdir(parents=True, exist_ok=True)
        identity = None if dry else ownership.acquire(lab.home)
        main, sources = sources_of(text)
        upgrader = Upgrader(lab.journal, identity, main, sources, "/flows/main.flow")
        try:
            return await upgrader.upgrade(run_id)
        finally:
            upgrader.close()
            if identity is not None:
                identity.release()

    return in_loop(life)


def programs(lab: Lab) -> set[str]:
    """The digests that the headers of the unfinished runs of a tree hold."""
    with_all = [lab.journal.require("r"), *lab.journal.descendants("r")]
    return {each.program for each in with_all if not each.is_finished}


def test_a_tree_that_fits_goes_on_with_the_new_code(lab: Lab, tmp_path: Path) -> None:
    interrupted(lab, OLD)
    before = lab.tree()
    dry = upgraded(lab, NEW, dry=True)
    assert (dry.status, dry.compared) == ("fits", 3)
    assert lab.tree() == before
    moved = upgraded(lab, NEW)
    assert (moved.status, moved.compared) == ("moved", 3)
    assert programs(lab) == {moved.digest}
    assert not moved.header.owner
    facts = lab.journal.facts("r")
    assert facts["file"] == "/flows/main.flow"
    assert lab.journal.code(dict(facts["program"])[MAIN]) == NEW
    assert upgraded(lab, NEW).status == "same"
    # It goes elsewhere with all its code, and what nobody uses is all that a sweep takes.
    elsewhere = make_lab(tmp_path / "elsewhere")
    elsewhere.journal.import_run(lab.journal.export_run("r"))
    assert elsewhere.journal.gc(0).code == 0
    assert value_of(elsewhere.resume()) == ["new", "new"]
    elsewhere.store.close()
    assert value_of(lab.resume()) == ["new", "new"]
    assert list(lab.journal.verify()) == []
    assert (lab.base / "log.txt").read_text() == "begun\n"


def test_it_may_go_there_and_back(lab: Lab) -> None:
    interrupted(lab, OLD)
    first = programs(lab)
    assert upgraded(lab, NEW).status == "moved"
    assert upgraded(lab, OLD).status == "moved"
    assert programs(lab) == first
    # Both times are remembered: what was asked for by the code in between is shown with its text.
    assert [event.kind for event in lab.events()].count("code_changed") == 2
    assert value_of(lab.resume()) == ["old", "old"]


COUNTING = """
def _main(fctx, name):
    {first}
    unwrap(fctx.actions.append("log.txt", name))
    {second}
    fctx.actions.sleep("1h")
    {third}

main = flow(_main)
"""


def counting(first: str = "pass", second: str = "pass", third: str = "pass") -> str:
    return COUNTING.format(first=first, second=second, third=third)


@pytest.mark.parametrize(
    ("new", "number", "old_side", "new_side"),
    [
        (counting(first='name += "!"'), 1, ('do append("log.txt", "n")', 4), ('do append("log.txt", "n!")', 4)),
        (counting(first="fctx.actions.now()"), 1, ("do append", 4), ("now", 3)),
        (counting(second="return 1"), 2, ("sleep 3600.0", 6), ("(nothing: the flow has ended)", 4)),
        (counting(second='fail("no")'), 2, ("sleep 3600.0", 6), ("has ended in Err: failed: no)", 5)),
        (
            counting(first="name = 1").replace("fctx, name", "fctx"),
            1,
            ("do append", 4),
            ("ended in Err: error: `_main` got 1 more", 9),
        ),
        (counting(second="fctx.actions.run(effects.stat, '.')"), 2, ("sleep 3600.0", 6), ("start stat", 5)),
    ],
)
def test_the_first_difference_is_shown_with_both_lines(
    lab: Lab, new: str, number: int, old_side: tuple[str, int], new_side: tuple[str, int]
) -> None:
    interrupted(lab, counting())
    before = lab.tree(), programs(lab)
    verdict = upgraded(lab, new)
    assert verdict.status == "differs"
    (found,) = verdict.differences
    assert (found.run_id, found.number) == ("r", number)
    for side, (asks, line), text in ((found.old, old_side, counting()), (found.new, new_side, new)):
        assert asks in side.asks
        assert side.place == f"main.flow:{line}"
        assert text.split("\n")[line - 1] in side.excerpt
    assert (lab.tree(), programs(lab)) == before
    assert not lab.journal.require("r").owner


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (counting().replace("main = flow", "mein = flow"), "no flow main.flow:main, did you mean `main.flow:mein`?"),
        (
            counting(first='name = "n"')
            .replace("fctx, name", "fctx")
            .replace("flow(_main)", 'flow(_main, args = {"name": args.int()})'),
            "do not fit the flow any more",
        ),
        (counting(first="name = name * 2147483647 + name * 2147483647"), "ended its worker"),
        ({"//other.flow": counting(), MAIN: 'load("//other.flow", "main")\nx = main'}, "no flow main.flow:main"),
    ],
)
def test_code_that_cannot_even_begin_is_a_difference(lab: Lab, new: Program, words: str) -> None:
    interrupted(lab, counting())
    verdict = upgraded(lab, new)
    assert verdict.status == "differs"
    assert words in verdict.differences[0].message
    assert programs(lab) != {verdict.digest}


def test_code_that_does_not_load_is_an_error_of_its_own(lab: Lab) -> None:
    interrupted(lab, counting())
    with pytest.raises(LanguageError) as caught:
        upgraded(lab, counting() + "\nx = nowhere")
    assert caught.value.place.startswith("main.flow:")
    assert not lab.journal.require("r").owner


def test_the_old_line_is_of_the_code_that_asked(lab: Lab) -> None:
    """What a second code has asked for is shown in the text of that, not in the one of the start."""
    first = counting().replace("1h", "20ms")
    interrupted(lab, first, lambda: len(lab.events()) > 3)
    second = first.replace("20ms", '20ms")\n    # more\n    fctx.actions.sleep("1h')
    assert upgraded(lab, second).status == "moved"

    async def life() -> None:
        with lab.engine() as engine:
            engine.adopt("r")
            while len([event for event in lab.events() if event.kind == "action"]) < 3:
                await asyncio.sleep(0.01)

    in_loop(life)
    (found,) = upgraded(lab, first).differences
    assert found.number == 3
    assert 'fctx.actions.sleep("1h")' in found.old.excerpt
    assert found.old.place == "main.flow:8"


FAILING = """
def _main(fctx, name):
    unwrap(fctx.actions.append("log.txt", "x"))
    fail("not yet")

main = flow(_main)

def _outer(fctx, name):
    return unwrap(fctx.actions.run(options(main, retries = 3, retry_delay = "300ms"), name).result())

outer = flow(_outer)
"""


def test_a_flow_between_two_attempts_begins_the_next_with_the_new_code(lab: Lab) -> None:
    text = FAILING.replace("unwrap(fctx.actions.run(", "unwrap(fctx.actions.wait([fctx.actions.run(").replace(
        ", name).result())", ", name)])[0])"
    )
    interrupted(
        lab, text, lambda: any(event.kind == "attempt" for each in lab.tree().values() for event in each), name="outer"
    )
    assert upgraded(lab, text.replace('fail("not yet")', 'return "done"')).status == "moved"
    assert value_of(lab.resume()) == "done"
    # What the first attempt did is taken over by the second, whatever code that is of.
    assert (lab.base / "log.txt").read_text() == "x"


ENDING = """
def _undo(fctx):
    fctx.actions.sleep("300ms")
    unwrap(fctx.actions.append("log.txt", "old"))

undo = flow(_undo)

def _main(fctx, name):
    fctx.actions.defer(undo, grace = "1m")
    fctx.actions.sleep("1h")

main = flow(_main)
"""


def test_what_a_run_that_is_ending_has_left_is_of_the_new_code(lab: Lab) -> None:
    """Its own text is evaluated no more, so that may be anything; the flows that it has left to do must be there."""

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, ENDING, name="main", args=ARGS)
            while not lab.journal.require("r").deferred or lab.journal.require("r").wake_action is None:
                await asyncio.sleep(0.01)
            engine.cancel("r", "enough")
            while not lab.journal.require("r").ending:
                await asyncio.sleep(0.01)

    in_loop(life)
    gone = ENDING.replace("undo = flow", "undone = flow").replace("defer(undo,", "defer(undone,")
    (found,) = upgraded(lab, gone).differences
    assert "no flow main.flow:undo" in found.message
    assert upgraded(lab, ENDING.replace('"old"', '"new"').replace('sleep("1h")', "now()")).status == "moved"
    assert lab.resume().header.status == "cancelled"
    assert (lab.base / "log.txt").read_text() == "new"


def test_a_run_that_is_driven_or_over_is_left(lab: Lab) -> None:
    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, OLD, name="main", args=ARGS)
            main, sources = sources_of(NEW)
            for identity in (None, ownership.acquire(lab.home)):
                upgrader = Upgrader(lab.journal, identity, main, sources, "")
                assert (await upgrader.upgrade("r")).status == "busy"
                upgrader.close()

    in_loop(life)
    value_of(lab.resume())
    assert upgraded(lab, NEW).status == "ended"


def test_an_engine_that_was_faster_keeps_its_run(lab: Lab) -> None:
    interrupted(lab, OLD)
    ours, theirs = ownership.acquire(lab.home), ownership.acquire(lab.home)
    lab.journal.adopt("r", theirs.engine_id)
    code = NewCode([], {}, {}, "")
    with pytest.raises(RunBusyError):
        change_code(lab.store, "r", ours.engine_id, ours.check, code, 9, [], 0)
    for each in (ours, theirs):
        each.release()
    assert lab.journal.facts("r")["program"] != []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("commit", [1, 2])
def test_killed_anywhere_it_has_the_one_code_or_the_other(lab: Lab, commit: int, moment: str) -> None:
    interrupted(lab, OLD)
    old = programs(lab)
    lab.store.close()
    script = [sys.executable, "-m", "tests.engine.upgrade_process", str(lab.home), str(commit), moment]
    assert subprocess.run(script, cwd=Path(__file__).parents[2], check=False).returncode == -9
    again = make_lab(lab.home.parent)
    is_moved = (commit, moment) == (2, "after")
    assert len(programs(again)) == 1
    assert (programs(again) == old) is not is_moved
    assert list(again.journal.verify()) == []
    assert value_of(again.resume()) == (["new", "new"] if is_moved else ["old", "old"])
    assert (again.base / "log.txt").read_text() == "begun\n"
    again.store.close()


def test_a_handler_must_be_there(lab: Lab) -> None:
    told = "tell = flow(lambda fctx, failure, about: None)\n"
    text = told + counting().replace("flow(_main)", "flow(_main, on_failure = tell)")
    interrupted(lab, text)
    (found,) = upgraded(lab, "tel" + text.removeprefix("tell").replace("= tell)", "= tel)")).differences
    assert "no flow main.flow:tell, did you mean `main.flow:tel`?" in found.message
