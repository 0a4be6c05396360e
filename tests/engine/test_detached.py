"""Runs of their own: started once, roots with a life of their own, and what the end of their caller means for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowmetal.testing.harness import Lab, failure_of, in_loop, value_of
from tests.engine.test_policies import main_of

OWN = """
def _own(fctx, n = 0):
    fctx.actions.sleep("{sleeps}")
    unwrap(fctx.actions.append("log.txt", "woke\\n"))
    return n

own = flow(_own)
broken = flow(lambda fctx: fail("no"))
"""


def text_of(body: str, sleeps: str = "1h") -> str:
    return OWN.replace("{sleeps}", sleeps) + main_of(body)


async def settled(lab: Lab, run_id: str) -> str:
    while not (header := lab.journal.require(run_id)).is_finished:
        await asyncio.sleep(0.01)
    return header.status


START = 'unwrap(a.start(options(own, id = "own", parent_close = "{}")))'


@pytest.mark.parametrize("how", ["cancel", "terminate"])
@pytest.mark.parametrize("end", ["return 1", "fail('no')", "unwrap(broken())", 'a.sleep("1h")'])
def test_the_end_of_its_caller_is_the_end_of_a_run(lab: Lab, how: str, end: str) -> None:
    """Be that Ok, an error of its own, or a cancel from outside."""

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text_of(f"{START.format(how)}\n{end}"))
            if "sleep" in end:
                while lab.journal.header("own") is None:
                    await asyncio.sleep(0.01)
                engine.cancel("r", "enough")
            await asyncio.wait_for(engine.outcome("r"), 30)
            assert await asyncio.wait_for(settled(lab, "own"), 30) == "cancelled"
            await engine.idle()
            await engine.stop()

    in_loop(life)
    own = lab.journal.require("own")
    assert (own.is_root, own.name, own.started_by) == (True, "own", "r.1")
    (asked,) = [event for event in lab.events("own") if event.kind == "cancel_requested"]
    assert asked.fields["reason"] == "r.1, which started it, has ended"
    assert not (lab.base / "log.txt").exists()
    nothing_left(lab)


def nothing_left(lab: Lab) -> None:
    assert list(lab.journal.verify()) == []
    with lab.store.view() as view:
        assert not list(view.scan("mail"))
        assert not [key for key, _ in view.scan("meta") if key.startswith(b"close")]


@pytest.mark.parametrize("settings", ['id = "own"', 'id = "own", parent_close = "abandon"'])
def test_an_abandoned_one_goes_on(lab: Lab, settings: str) -> None:
    async def life() -> Any:
        with lab.engine() as engine:
            await lab.start(engine, text_of(f"return unwrap(a.start(options(own, {settings}), 5))", "20ms"))
            outcome = await asyncio.wait_for(engine.outcome("r"), 30)
            await engine.idle()
            return outcome

    assert value_of(in_loop(life)) == "own"
    assert lab.journal.require("own").status == "ok"
    nothing_left(lab)


def test_one_that_ended_before_is_left_as_it_is(lab: Lab) -> None:
    body = f'{START.format("cancel")}\na.sleep("80ms")\nreturn 1'
    assert value_of(lab.run(text_of(body, "1ms"))) == 1
    assert lab.journal.require("own").status == "ok"
    nothing_left(lab)


def test_a_further_attempt_of_its_caller_is_no_end(lab: Lab) -> None:
    """And starts nothing anew."""
    text = text_of("""
unwrap(a.start(options(own, parent_close = "terminate"), 1))
if fctx.attempt < 3:
    fail("again")
a.sleep("100ms")
return [header for header in ["r-1-1"]]
""").replace("flow(_main)", 'flow(_main, retries = 2, retry_delay = "1ms")')
    text = text.replace('sleep("1h")', 'sleep("30ms")')
    value_of(lab.run(text))
    assert {each.run_id: each.status for each in lab.journal.roots()} == {"r": "ok", "r-1-1": "ok"}
    nothing_left(lab)


def test_it_is_ended_by_the_engine_that_drives_it(lab: Lab) -> None:
    """The caller is another engine's; or it was cut off while nobody drives what it started, and is finished later."""
    text = text_of(f'{START.format("terminate")}\na.sleep("300ms")')

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while lab.journal.header("own") is None:
                await asyncio.sleep(0.01)

    async def by_another() -> None:
        with lab.engine() as first, lab.engine() as second:
            second.adopt("own")
            first.adopt("r")
            value_of(await asyncio.wait_for(first.outcome("r"), 30))
            assert (await asyncio.wait_for(second.outcome("own"), 30)).header.status == "cancelled"
            assert first.owned == second.owned == []

    in_loop(begin)
    in_loop(by_another)
    nothing_left(lab)


def test_one_that_nobody_drives_is_taken_up_and_ended(lab: Lab) -> None:
    text = text_of(f'{START.format("cancel")}\na.sleep("50ms")')

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while lab.journal.header("own") is None:
                await asyncio.sleep(0.01)

    in_loop(begin)
    value_of(lab.resume("r"))
    in_loop(lambda: asyncio.wait_for(settled(lab, "own"), 10))
    nothing_left(lab)


def test_its_id_makes_it_one_run(lab: Lab) -> None:
    body = """
first = unwrap(a.start(options(own, id = "own"), 1))
again = unwrap(a.start(options(own, id = "own"), 1))
other = a.start(options(own, id = "own"), 2)
flow_ = a.start(options(broken, id = "own"))
return [first, again, other.error.kind, flow_.error.message]
"""
    said = "the run own exists with another flow or other arguments"
    assert value_of(lab.run(text_of(body, "1ms"))) == ["own", "own", "failed", said]


def test_a_task_among_its_arguments_is_waited_for(lab: Lab) -> None:
    body = "n = unwrap(a.start(own, a.run(own, 7)))\nbad = a.start(own, a.run(broken))\nreturn [n, bad.error.kind]"
    assert value_of(lab.run(text_of(body, "1ms"))) == ["r-1-2", "upstream"]


def test_a_call_does_not_wait_for_one(lab: Lab) -> None:
    text = text_of("return unwrap(options(own, id = 'x')())")
    assert "which is not waited for" in failure_of(lab.run(text)).message
