"""Journals under attack: 66, 68 and 69 of the list, and authority that must survive a resume."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from flowmetal.engine.engine import Outcome
from flowmetal.engine.starting import RunRequest
from flowmetal.errors import JournalError, QuotaError
from flowmetal.journal.keys import own_range
from flowmetal.permissions import GrantSet, parse_grants
from flowmetal.settings import KIB, MIB, Limits
from flowmetal.testing.harness import NO_ARGS, Lab, TextSources, failure_of, in_loop, value_of
from tests.hostile.smuggling import DENIED, program

WRITING = """
def _main(fctx):
    for n in range(20):
        unwrap(fctx.actions.append("log.txt", "%d %s\\n" % (n, "x" * 4000)))
    return "all"

main = flow(_main)
"""

TWICE = """
def _main(fctx):
    first = fctx.actions.append("log.txt", "first\\n").ok
    fctx.actions.sleep("150ms")
    second = fctx.actions.append("log.txt", "second\\n")
    return [first, "" if second.ok else second.error.kind]

main = flow(_main)
"""


def interrupted(lab: Lab, modules: dict[str, str], grants: GrantSet, seconds: float = 0.06) -> None:
    """Runs the flow ``main`` for a while, then closes its engine."""

    async def life() -> None:
        with lab.engine() as engine:
            loaded = await engine.load("//main.flow", TextSources(modules), lab.limits)
            flow = next(each.reference for each in loaded.flows.values() if each.name == "main")
            engine.begin(loaded, RunRequest("r", flow, "main", NO_ARGS, grants, str(lab.base)))
            while not any(each.kind == "action" and "due_ms" in each.fields for each in everything(lab)):
                await asyncio.sleep(seconds / 10)
            await engine.stop()

    in_loop(life)


def everything(lab: Lab) -> list[Any]:
    return [event for events in lab.tree().values() for event in events]


def resumed(lab: Lab, more: GrantSet | None = None, **options: Any) -> Outcome:
    async def life() -> Outcome:
        with lab.engine() as engine:
            engine.adopt("r", more, **options)
            outcome = await asyncio.wait_for(engine.outcome("r"), 60)
            await engine.stop()
            return outcome

    return in_loop(life)


def lines(lab: Lab) -> list[str]:
    path = lab.base / "log.txt"
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def test_an_effect_that_is_done_is_recorded_whatever_the_quota_says(lab: Lab) -> None:
    lab.limits = Limits(journal_bytes_per_run=40 * KIB)
    outcome = lab.run(WRITING, name="main")
    assert isinstance(outcome.error, QuotaError)
    assert "journal_bytes_per_run" in outcome.error.show()
    assert outcome.header.status == "paused"
    done = lines(lab)
    assert 0 < len(done) < 20
    assert sum(event.kind == "result" for event in lab.events()) == len(done)
    assert list(lab.journal.verify()) == []
    assert value_of(resumed(lab, journal_bytes_per_run=MIB)) == "all"
    assert lines(lab) == [str(n) for n in range(20)]


def test_a_denial_added_on_resume_holds_for_what_comes(lab: Lab) -> None:
    interrupted(lab, {"//main.flow": TWICE}, lab.grants())
    outcome = resumed(lab, parse_grants([], ["write=."], str(lab.base)))
    assert value_of(outcome) == [True, "denied"]
    assert lines(lab) == ["first"]
    assert list(lab.journal.verify()) == []


def test_a_grant_added_on_resume_does_not_change_what_was(lab: Lab) -> None:
    interrupted(lab, {"//main.flow": TWICE}, GrantSet())
    outcome = resumed(lab, parse_grants(["write=."], [], str(lab.base)))
    assert value_of(outcome) == [False, ""]
    assert lines(lab) == ["second"]


def test_a_resume_needs_no_file_of_the_program(lab: Lab, tmp_path: Path) -> None:
    """Its code is in the journal: what lies in its place meanwhile is not run."""
    interrupted(lab, {"//main.flow": TWICE}, lab.grants())
    (lab.base / "main.flow").write_text('fail("not this")\n')
    assert value_of(resumed(lab)) == [True, ""]
    assert lines(lab) == ["first", "second"]


SLOW_WORK = """
def _work(fctx):
    fctx.actions.sleep("150ms")
    return fctx.actions.write("out.txt", "x")

work = flow(_work)
"""


@pytest.mark.parametrize("way", ["flow_of_the_root", "flow_of_the_root_as_a_task", "options", "retry"])
def test_whose_doing_a_run_is_survives_the_engine(lab: Lab, way: str) -> None:
    modules = program(DENIED[way]._replace(above=SLOW_WORK))
    grants = parse_grants(["write=."], [], str(lab.base), allow_for=[("//lib.flow", "none")])
    interrupted(lab, modules, grants)
    failure = failure_of(resumed(lab))
    assert failure.kind == "denied"
    assert "not granted to //lib.flow" in failure.message
    assert not (lab.base / "out.txt").exists()


@pytest.mark.parametrize("at", [1, 2, -1])
@pytest.mark.parametrize("change", ["a bit", "the end"])
def test_a_record_that_was_changed_is_named_and_not_executed(lab: Lab, at: int, change: str) -> None:
    interrupted(lab, {"//main.flow": TWICE}, lab.grants())
    with lab.store.update() as update:
        records = list(update.scan("events", *own_range("r")))
        key, value = records[at]
        a_bit = value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]
        update.put("events", key, a_bit if change == "a bit" else value[:-5])
    assert list(lab.journal.verify())
    before = lines(lab)
    try:
        outcome = resumed(lab)
    except JournalError as error:
        shown = error.show()
    else:
        assert outcome.error is not None, outcome
        shown = outcome.error.show()
    assert "Traceback" not in shown
    assert "r" in shown
    assert lines(lab) == before
    other = 'if __name__ == "__flow__":\n    print(1)\n'
    assert value_of(lab.run(other, "other")) is None
