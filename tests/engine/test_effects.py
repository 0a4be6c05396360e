"""The one gate: what is asked, decided, performed, cancelled and closed."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from flowmetal.actions.effect import EffectFailure
from flowmetal.engine.table import StoppedRun
from flowmetal.errors import InternalError
from flowmetal.testing.effects import scripted
from flowmetal.testing.harness import Lab, failure_of, in_loop, value_of

READING = """
def _main(fctx):
    return unwrap(fctx.actions.read("file"))

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def test_what_ends_while_the_engine_closes_is_kept(lab: Lab) -> None:
    """An effect in a thread is waited for, and its result is journaled: the next engine does not do it again."""
    begun, calls = threading.Event(), []

    def slow(args: Any) -> str:
        calls.append(args["path"])
        begun.set()
        time.sleep(0.2)
        return "text"

    lab.registry = scripted(read=slow)

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, READING)
            while not begun.is_set():
                await asyncio.sleep(0.005)

    in_loop(life)
    assert value_of(lab.resume()) == "text"
    assert calls == ["file"]


def test_a_late_result_is_only_noted(lab: Lab) -> None:
    lab.registry = scripted(read=lambda args: time.sleep(0.1))
    text = """
def _main(fctx):
    task = fctx.actions.run(effects.read, "file")
    fctx.actions.sleep("20ms")
    fctx.actions.cancel(task)
    kind = fctx.actions.wait(task).error.kind
    fctx.actions.sleep("200ms")
    return [kind, fctx.actions.wait(task).error.kind]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    assert value_of(lab.run(text)) == ["cancelled", "cancelled"]
    late = [event.fields.get("late") for event in lab.events("r.1") if event.kind == "result"]
    assert True in late
    assert list(lab.journal.verify()) == []


def test_faults_and_failures_of_effects_are_results(lab: Lab) -> None:
    def fault(args: Any) -> None:
        raise ZeroDivisionError("of the effect")

    def failure(args: Any) -> None:
        raise EffectFailure("the world refused", details={"n": 1})

    lab.registry = scripted("inline", read=fault, list_dir=failure, append=lambda args: "x" * (1 << 20))
    text = """
def _main(fctx):
    a = fctx.actions
    results = [a.read("x"), a.list_dir("x"), a.append("x", "y")]
    return [(r.error.kind, r.error.message) for r in results]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    found = [each["tuple"] for each in value_of(lab.run(text))]
    assert found[0] == ["effect", "read failed unexpectedly: ZeroDivisionError: of the effect"]
    assert found[1] == ["effect", "the world refused"]
    assert found[2][0] == "limit"


def test_what_is_not_granted_is_denied_with_the_option_to_add(lab: Lab) -> None:
    lab.allow = ()
    failure = failure_of(lab.run(READING))
    assert failure.kind == "denied"
    assert f"--allow read={lab.base}" in str(failure.message) + str(failure.details)


def test_an_effect_of_a_stopped_run_writes_nothing_any_more(lab: Lab) -> None:
    """Its root was given up while it was under way, and may be another engine's."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(args: Any) -> str:
        begun.set()
        go_on.wait(10)
        return "text"

    lab.registry = scripted(read=slow)
    text = READING.replace("main()\n", 'run(main)\n    sleep("100ms")\n    sleep("1h")\n')

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while not begun.is_set():
                await asyncio.sleep(0.005)
            engine._stopped(StoppedRun("r", InternalError("a test")))
            before = lab.tree()
            go_on.set()
            await asyncio.sleep(0.3)
            assert lab.tree() == before
            assert lab.journal.require("r").owner == b""
            engine.adopt("r")
            assert lab.journal.require("r").owner == engine.engine_id
            await asyncio.sleep(0.1)
            engine.cancel("r", "enough")
            assert failure_of(await engine.outcome("r")).kind == "cancelled"

    in_loop(life)
    assert any(event.kind == "result" for event in lab.events("r.1"))


def test_a_long_effect_in_a_thread_ends_with_its_time_and_with_its_engine(lab: Lab) -> None:
    """Otherwise a command could be ended by force only.  What was cut off by the engine's end has no result."""
    with (lab.base / "large").open("wb") as file:
        file.truncate(1 << 40)
    text = """
def _main(fctx):
    late = fctx.actions.digest("large", timeout = "50ms").error.kind
    return [late, fctx.actions.digest("large", name = "second").error.kind]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while lab.journal.last_number("r.1") < 2 or not engine._effects.under_way:
                await asyncio.sleep(0.01)
            await engine.stop()

    in_loop(life)  # to read a tebibyte would take longer than any test may
    kinds = [event.fields["number"] for event in lab.events("r.1") if event.kind == "result"]
    assert kinds == [1]
    assert list(lab.journal.verify()) == []
