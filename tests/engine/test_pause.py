"""A run that is paused by someone: what is under way ends, nothing begins, and nobody takes it up by accident."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.starting import RunRequest
from flowmetal.errors import RunBusyError, RunPausedError, UsageError
from flowmetal.journal.headers import Header
from flowmetal.testing.harness import NO_ARGS, Lab, failure_of, in_loop, sources_of, value_of

# The program says that it has begun, and ends when it is told to.
HELD = "echo begun >> begun; while [ ! -e go ]; do sleep 0.02; done; echo ended >> ended"
BUSY = f"""
def _below_impl(fctx):
    unwrap(options(fctx.actions.exec, idempotency_key = "only once")(["sh", "-c", "{HELD}"]))
    unwrap(fctx.actions.append("after", "x\\n"))
    return "done"

below = flow(_below_impl)
def _main_impl(fctx):
    return unwrap(below())

main = flow(_main_impl)
if __name__ == "__flow__":
    main()
"""
ALLOW = ("read=.", "write=.", "exec=sh")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def header_of(lab: Lab) -> Header:
    header = lab.journal.header("r")
    assert header is not None
    return header


async def paused(engine: Engine) -> Outcome:
    outcome = await asyncio.wait_for(engine.outcome("r"), 30)
    assert isinstance(outcome.error, RunPausedError), outcome
    return outcome


def count(lab: Lab, name: str) -> int:
    path = lab.base / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_effects_under_way_end_and_are_recorded(lab: Lab) -> None:
    lab.allow = ALLOW

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, BUSY)
            await until(lambda: count(lab, "begun"))
            engine.pause("r", "why not")
            await until(lambda: header_of(lab).is_held)
            with pytest.raises(RunBusyError, match="waits for effects"), lab.engine() as other:
                other.adopt("r")
            (lab.base / "go").touch()
            outcome = await paused(engine)
            assert outcome.header.owner == header_of(lab).owner or header_of(lab).owner == b""
            assert "the run `r` is paused: why not" in outcome.error.show()  # type: ignore[union-attr]  # see ``paused``
            assert engine.owned == []
            await engine.stop()

    in_loop(life)
    assert (header_of(lab).status, header_of(lab).owner) == ("paused", b"")
    assert [each.kind for each in lab.events("r.1.1")][-1] == "result", "its result came while it was let go"
    assert count(lab, "after") == 0, "nothing more was begun"
    assert value_of(lab.resume()) == "done"
    assert (count(lab, "begun"), count(lab, "ended"), count(lab, "after")) == (1, 1, 1)
    assert value_of(lab.run(BUSY, "another")) == "done"
    assert (count(lab, "begun"), count(lab, "after")) == (1, 2), "its key was settled while it was let go"
    (event,) = (each for each in lab.events() if each.kind == "paused")
    assert event.fields["reason"] == "why not"
    assert event.fields["since_ms"] <= event.at_ms
    assert header_of(lab).paused_ms is None
    assert list(lab.journal.verify()) == []


def test_effects_under_way_are_cut_off_when_asked(lab: Lab) -> None:
    lab.allow = ALLOW

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, BUSY)
            await until(lambda: count(lab, "begun"))
            engine.pause("r", "")
            lab.journal.pause("r", "", cut=True)  # as another process asks for it
            await paused(engine)
            await until(lambda: header_of(lab).owner == b"")
            await engine.stop()

    in_loop(life)
    (lab.base / "go").touch()
    assert value_of(lab.resume()) == "done"
    assert (count(lab, "begun"), count(lab, "ended"), count(lab, "after")) == (2, 1, 1)
    assert [each.fields["repeated"] for each in lab.events("r.1.1") if each.kind == "attempt"] == [True]


def test_a_run_can_be_cancelled_while_its_effects_are_waited_for(lab: Lab) -> None:
    lab.allow = ALLOW

    async def life() -> Outcome:
        with lab.engine() as engine:
            await lab.start(engine, BUSY)
            await until(lambda: count(lab, "begun"))
            engine.pause("r", "")
            lab.journal.post("r", {"kind": "answer", "number": 1, "text": "kept"})
            lab.journal.post("r", {"kind": "cancel", "reason": "enough"})
            outcome = await asyncio.wait_for(engine.outcome("r"), 30)
            await engine.stop()
            return outcome

    assert failure_of(in_loop(life)).kind == "cancelled"
    assert (header_of(lab).status, count(lab, "ended")) == ("cancelled", 0)
    assert header_of(lab).is_held is False


def test_what_is_cancelled_while_it_is_paused_cleans_up(lab: Lab) -> None:
    """A cancel of a part waits for a resume; one of the whole run does not."""
    lab.allow = ALLOW
    flow = BUSY.replace(
        "def _below_impl(fctx):",
        """def _tidy_impl(fctx):
    unwrap(fctx.actions.append("tidied", "x"))

tidy = flow(_tidy_impl)

def _below_impl(fctx):
    fctx.actions.defer(tidy)""",
    )

    async def life() -> Outcome:
        with lab.engine() as engine:
            await lab.start(engine, flow)
            await until(lambda: count(lab, "begun"))
            engine.pause("r", "")
            await until(lambda: header_of(lab).is_held)
            lab.journal.post("r.1", {"kind": "cancel", "reason": "only this"})
            lab.journal.post("r", {"kind": "cancel", "reason": "enough"})
            outcome = await asyncio.wait_for(engine.outcome("r"), 30)
            await engine.stop()
            return outcome

    assert failure_of(in_loop(life)).kind == "cancelled"
    assert (header_of(lab).status, count(lab, "ended"), count(lab, "tidied")) == ("cancelled", 0, 1)
    reasons = [each.fields["reason"] for each in lab.events("r.1") if each.kind == "cancel_requested"]
    assert "only this" not in reasons


@pytest.mark.parametrize("by", ["its engine", "a journal"])
def test_what_comes_due_meanwhile_is_begun_on_resume(lab: Lab, by: str) -> None:
    """Timers and attempts that are put off cost a paused run nothing, whoever paused it."""
    flow = """
def _main_impl(fctx):
    fctx.actions.sleep("300ms")
    return fctx.actions.now()

main = flow(_main_impl)
if __name__ == "__flow__":
    main()
"""

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, flow)
            await until(lambda: lab.journal.last_number("r.1"))
            if by == "its engine":
                engine.pause("r", "")
                await paused(engine)

    in_loop(life)
    if by == "a journal":
        assert lab.journal.pause("r", "").is_held
    assert header_of(lab).is_held

    async def later() -> None:
        await asyncio.sleep(0.35)
        assert not [each for each in lab.events("r.1") if each.kind == "timer_fired"]

    in_loop(later)
    value_of(lab.resume())
    (woken,) = (each for each in lab.events("r.1") if each.kind == "timer_fired")
    (event,) = (each for each in lab.events() if each.kind == "paused")
    assert woken.at_ms >= event.at_ms


def test_nobody_takes_a_paused_run_up_by_accident(lab: Lab) -> None:
    """Not a second start of the same id, not a watcher; one who resumes it does, whatever was asked before."""
    flow = 'def _main_impl(fctx):\n    fctx.actions.sleep("50ms")\n\nmain = flow(_main_impl)\n'
    flow += 'if __name__ == "__flow__":\n    main()\n'

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, flow)
        lab.journal.pause("r", "")
        with lab.engine() as engine:
            with pytest.raises(RunPausedError):
                engine.adopt("r", even_held=False)
            program = await engine.load(*sources_of(flow), lab.limits)
            with pytest.raises(RunPausedError):
                engine.begin(program, RunRequest("r", "", "script", NO_ARGS, lab.grants(), str(lab.base)))
            assert header_of(lab).owner == b""
            assert engine.owned == []
            # A request that its engine did not live to read.
            lab.journal.post("r", {"kind": "pause", "reason": "late", "cut": False})
            engine.adopt("r")
            assert value_of(await asyncio.wait_for(engine.outcome("r"), 30)) is None
            await engine.stop()

    in_loop(life)
    assert lab.journal.mail_for(["r"]) == []


def test_what_can_be_paused(lab: Lab, tmp_path: Path) -> None:
    lab.run(
        'def _f_impl(fctx):\n    return fctx.actions.now()\n\nf = flow(_f_impl)\nif __name__ == "__flow__":\n    f()\n'
    )
    for run_id, words in (("r", "has finished"), ("r.1", "part of a run"), ("q", "there is no run")):
        with pytest.raises(UsageError, match=words):
            lab.journal.pause(run_id, "")
    assert lab.journal.lift("r").status == "ok"


def test_lifting_a_pause_leaves_the_run_to_whoever_comes(lab: Lab) -> None:
    flow = 'def _main_impl(fctx):\n    fctx.actions.sleep("50ms")\n\nmain = flow(_main_impl)\n'
    flow += 'if __name__ == "__flow__":\n    main()\n'

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, flow)
        lab.journal.pause("r", "lunch")
        assert lab.journal.lift("r").status == "running"
        with lab.engine() as engine:
            engine.adopt("r", even_held=False)
            assert value_of(await asyncio.wait_for(engine.outcome("r"), 30)) is None
            await engine.stop()

    in_loop(life)
    assert [each.fields["reason"] for each in lab.events() if each.kind == "paused"] == ["lunch"]
