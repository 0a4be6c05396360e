"""What flow text can do to its worker, and what remains of it: its own run's failure."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import pytest

from flowmetal.engine.engine import Outcome
from flowmetal.engine.table import Start
from flowmetal.errors import InternalError, JournalError, LanguageError
from flowmetal.settings import MIB, Limits
from flowmetal.testing.harness import Lab, failure_of, in_loop, value_of
from flowmetal.testing.workers import Tapped, WorkerTap

FINE = """
def _fine(fctx, n):
    fctx.actions.append("log.txt", "fine %d\\n" % n)
    fctx.actions.sleep("10ms")
    fctx.actions.append("log.txt", "fine %d\\n" % n)
    return n

fine = flow(_fine)
"""

NESTED = """
def _nested(fctx):
    x = []
    for _ in range(100000):
        x = [x]
    return str(x)

bad = flow(_nested)
"""

MEMORY = """
def _memory(fctx):
    letter = "a"
    x = letter * 2147483647
    y = [x + x for _ in range(10)]
    return len(y)

bad = flow(_memory)
"""

GROWING = """
def _growing(fctx):
    x = [0] * 1000
    for _ in range(40):
        x = x + x
    return len(x)

bad = flow(_growing)
"""

BESIDE = """
if __name__ == "__flow__":
    actions = current_flow().actions
    tasks = [actions.run(fine, n) for n in range(5)]
    r = bad()
    print(r.error.kind, r.error.message)
    print([unwrap(it) for it in actions.wait(tasks)])
"""


class Killer(WorkerTap):
    """Kills the worker whenever it is given the run, so soon that nothing of it is heard."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id
        self.kills = 0

    def sent(self, worker: Tapped, message: list[Any]) -> bool:
        if message[0] == "start" and message[1] == self._run_id:
            self.kills += 1
            os.kill(worker.pid, signal.SIGKILL)
            return False
        return True


def printed(lab: Lab, run_id: str = "r") -> list[str]:
    return [event.fields["text"] for event in lab.events(run_id) if event.kind == "log"]


@pytest.mark.parametrize("text", [NESTED, MEMORY, GROWING], ids=["nested", "memory", "growing"])
def test_a_hostile_flow_costs_its_own_run_only(lab: Lab, text: str) -> None:
    lab.limits = Limits(address_space_bytes=256 * MIB)
    failure = failure_of(lab.run(FINE + text + BESIDE))
    assert failure.kind in ("crashed", "limit")
    lines = printed(lab)
    assert lines[1] == "[0, 1, 2, 3, 4]"
    log = (lab.base / "log.txt").read_text().splitlines()
    assert sorted(log) == sorted(2 * [f"fine {n}" for n in range(5)])
    assert list(lab.journal.verify()) == []


def test_a_memory_bomb_while_loading_is_an_error_of_the_program(lab: Lab) -> None:
    with pytest.raises(LanguageError, match=r"ended by SIGABRT .*; a worker has \d+ MiB: keep less"):
        lab.run('x = "a" * 2147483647\n')
    assert value_of(lab.run('if __name__ == "__flow__":\n    print(1)\n')) is None


def test_a_segmentation_fault_is_named(lab: Lab) -> None:
    failure = failure_of(lab.run(NESTED + 'if __name__ == "__flow__":\n    bad()\n'))
    assert failure.kind == "crashed"
    assert "SIGSEGV" in failure.message


def test_a_worker_killed_three_times_ends_the_run_that_it_evaluates(lab: Lab) -> None:
    lab.spawn = killer = Killer("r.2")
    text = (
        FINE
        + """
if __name__ == "__flow__":
    actions = current_flow().actions
    other = actions.run(fine, 1)
    r = actions.wait(actions.run(fine, 2))
    print(r.error.kind, r.error.message)
    print(unwrap(actions.wait(other)))
"""
    )
    failure = failure_of(lab.run(text))
    assert failure.kind == "crashed"
    assert "SIGKILL" in failure.message
    assert failure.flow == "fine"
    assert killer.kills == 3
    assert printed(lab)[1] == "1"


def test_innocent_runs_survive_any_number_of_deaths_of_others(lab: Lab) -> None:
    """Each of the bad ones takes the worker with it three times; the one that sleeps beside them is never at fault."""
    text = (
        FINE
        + NESTED
        + """
def _patient(fctx):
    for _ in range(5):
        fctx.actions.sleep("100ms")
    return "alive"

patient = flow(_patient)

if __name__ == "__flow__":
    actions = current_flow().actions
    other = actions.run(patient)
    for _ in range(3):
        print(bad().error.kind)
    print(unwrap(actions.wait(other)))
"""
    )
    lab.run(text)
    assert printed(lab) == ["crashed", "crashed", "crashed", "alive"]


def test_fuel_ends_a_flow_the_same_way_every_time(lab: Lab) -> None:
    lab.limits = Limits(fuel_ticks=200_000)
    text = """
def _busy(fctx, rounds):
    total = 0
    for part in range(rounds):
        for i in range(10000):
            total += i
        if part % 2:
            random()
    return total

busy = flow(_busy)

if __name__ == "__flow__":
    for rounds in [4, 40, 400]:
        r = busy(rounds)
        print(r.ok)
    many = wait([run(busy, 2) for _ in range(10)])
    print([r.ok for r in many])
    busy(20)
"""
    value_of_or_failure = [lab.run(text, run_id) for run_id in ("a", "b")]
    assert value_of_or_failure[0].value == value_of_or_failure[1].value
    assert printed(lab, "a") == printed(lab, "b")


def test_fuel_used_up_is_a_result_of_the_flow(lab: Lab) -> None:
    lab.limits = Limits(fuel_ticks=100_000)
    text = """
def _endless(fctx):
    unwrap(fctx.actions.append("log.txt", "once\\n"))
    for _ in forever():
        pass

endless = flow(_endless)

if __name__ == "__flow__":
    endless()
"""
    failure = failure_of(lab.run(text))
    assert failure.kind == "limit"
    assert "100,000 steps" in failure.message
    assert (lab.base / "log.txt").read_text() == "once\n"


def test_children_are_not_charged_to_their_callers(lab: Lab) -> None:
    lab.limits = Limits(fuel_ticks=300_000)
    text = """
def _work(fctx):
    total = 0
    for i in range(60000):
        total += i
    return total

work = flow(_work)

def _all(fctx):
    return [unwrap(work()) for _ in range(20)][0]

everything = flow(_all)

if __name__ == "__flow__":
    everything()
"""
    assert value_of(lab.run(text)) == sum(range(60_000))


@pytest.mark.parametrize("inline_depth", [1, 4])
def test_recursion_ends_in_an_error_at_the_same_depth(lab: Lab, inline_depth: int) -> None:
    lab.limits = Limits(inline_depth=inline_depth)
    text = """
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)

def _down(fctx, n, nested):
    if nested:
        return unwrap(flows[0](n, nested - 1))
    return down(n)

recursion = flow(_down)
flows = [recursion]

if __name__ == "__flow__":
    for nested in range(6):
        for n in [150, 300]:
            r = recursion(n, nested)
            print(n, nested, r.value if r.ok else r.error.kind)
"""
    lab.run(text)
    assert printed(lab) == [line for nested in range(6) for line in (f"150 {nested} 150", f"300 {nested} limit")]


def test_an_endless_loop_in_a_built_in_is_ended(lab: Lab) -> None:
    lab.limits = Limits(evaluation_seconds=1.5, cpu_seconds=30.0)
    text = (
        FINE
        + """
def _stuck(fctx):
    number = 3
    for _ in range(23):
        number = number * number
    return len(str(number))

bad = flow(_stuck)
"""
        + BESIDE
    )
    failure = failure_of(lab.run(text))
    assert failure.kind == "crashed"
    assert "without an action" in failure.message
    assert printed(lab)[1] == "[0, 1, 2, 3, 4]"


def test_processor_time_is_limited(lab: Lab) -> None:
    lab.limits = Limits(evaluation_seconds=100.0, cpu_seconds=0.5, fuel_ticks=10**12)
    text = """
def _busy(fctx):
    for _ in forever():
        pass

if __name__ == "__flow__":
    busy = _busy(None)
"""
    failure = failure_of(lab.run(text))
    assert failure.kind == "crashed"
    assert "processor time" in failure.message


def test_much_computing_with_actions_in_between_is_no_fault(lab: Lab) -> None:
    """Processor time is counted from action to action, also when no action needs an answer."""
    lab.limits = Limits(cpu_seconds=1.0)
    text = """
def _work(fctx):
    total = 0
    for _ in range(150):
        for i in range(1000000):
            total += 1
        random()
    return total

work = flow(_work)

if __name__ == "__flow__":
    work()
"""
    assert value_of(lab.run(text)) == 150_000_000


def test_the_engine_goes_on_after_a_program_that_cannot_be_loaded_any_more(lab: Lab) -> None:
    """A worker that dies while it loads a pinned program three times: the run is left as it was, with the reason."""
    text = 'if __name__ == "__flow__":\n    sleep("1h")\n'

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await asyncio.sleep(0.1)

    in_loop(life)

    class DiesLoading(WorkerTap):
        def __call__(self, limits: Limits, on_messages: Any, on_end: Any, /) -> Any:
            worker = super().__call__(limits, on_messages, on_end)
            os.kill(worker.pid, signal.SIGKILL)
            return worker

    lab.spawn = DiesLoading()
    lab.journal.post("r", {"kind": "nothing"})

    async def resumed() -> Any:
        with lab.engine() as engine:
            engine.adopt("r")
            engine._runs.wake("r", engine._runs.roots["r"])
            engine._settle()
            return await asyncio.wait_for(engine.outcome("r"), 20)

    outcome = in_loop(resumed)
    assert outcome.error is not None
    assert "SIGKILL" in outcome.error.message
    assert lab.journal.require("r").status == "waiting"


class Faulty(WorkerTap):
    """Has a fault of ours in the turn of the ``at``-th message."""

    def __init__(self, at: int, error: Exception) -> None:
        super().__init__()
        self._at = at
        self._error = error

    def delivered(self, worker: Tapped, message: list[Any]) -> None:
        if self.count >= self._at:
            raise self._error


APPENDING = """
def _note(fctx):
    for i in range(10):
        unwrap(fctx.actions.append("log.txt", "%d\\n" % i))
    return "noted"

note = flow(_note)

if __name__ == "__flow__":
    note()
"""


@pytest.mark.parametrize("at", [1, 3, 8])
def test_a_fault_in_a_turn_ends_the_engine_by_name_and_the_run_can_be_resumed(lab: Lab, at: int) -> None:
    """What is in memory may be half done then, so none of it is written any more, not even at the close."""
    lab.spawn = Faulty(at, RuntimeError("this should not be"))

    async def life() -> tuple[Outcome, list[str], int]:
        with lab.engine() as engine:
            await lab.start(engine, APPENDING)
            outcome = await asyncio.wait_for(engine.outcome("r"), 20)
            written = lab.journal.tree_last_sequence("r")
            return outcome, engine.owned, written

    outcome, owned, written = in_loop(life)
    assert isinstance(outcome.error, InternalError)
    assert "RuntimeError: this should not be" in outcome.error.message
    assert isinstance(outcome.error.__cause__, RuntimeError)
    assert (outcome.value, owned) == (None, [])
    assert lab.journal.tree_last_sequence("r") == written
    lab.spawn = WorkerTap()
    assert value_of(lab.resume(seconds=20)) == "noted"
    log = (lab.base / "log.txt").read_text().splitlines()
    assert sorted(set(log)) == [str(i) for i in range(10)]
    assert len(log) <= 11


def test_a_home_that_fails_in_a_turn_is_no_fault_of_ours(lab: Lab) -> None:
    lab.spawn = Faulty(3, JournalError("the journal's file is damaged"))
    outcome = lab.run(APPENDING)
    assert isinstance(outcome.error, JournalError)
    assert outcome.error.message == "the journal's file is damaged"


def test_what_is_not_to_be_started_any_more_holds_up_nobody(lab: Lab) -> None:
    """A run that was to be begun alone, and was ended before; those behind it begin without another turn."""
    text = (
        FINE
        + """
if __name__ == "__flow__":
    sleep("200ms")
    print(unwrap(wait(run(fine, 1))))
"""
    )

    async def life() -> Outcome:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await asyncio.sleep(0.1)
            root = engine._runs.roots["r"]
            for run_id in ("r.7", "r.8"):
                engine._scheduler.enqueue_alone(Start(run_id, root))
            async with asyncio.timeout(20):
                while root.program.alone:  # nobody calls a turn for it but the queue itself
                    await asyncio.sleep(0.001)
            return await asyncio.wait_for(engine.outcome("r"), 20)

    assert value_of(in_loop(life)) == 1
    assert printed(lab) == ["1"]


def test_whatever_is_queued_is_done_without_anyone_ending_the_turn(lab: Lab) -> None:
    """Each way of queueing work asks for the turn in which it is done; forgetting ``_settle`` can hang nothing."""

    async def life() -> list[str]:
        told: list[str] = []
        with lab.engine() as engine:
            await lab.start(engine, 'if __name__ == "__flow__":\n    sleep("1h")\n')
            root = engine._runs.roots["r"]
            while root.header.status != "waiting":
                await asyncio.sleep(0.001)
            for at, queue in enumerate((engine._scheduler.enqueue, engine._scheduler.enqueue_alone)):
                queue(Start(f"r.{at + 7}", root))
            engine._ledger.when_durable(lambda: told.append("durable"))
            engine._ledger.when_durable(lambda: engine._ledger.when_durable(lambda: told.append("and again")))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            told += [start.run_id for queue in (root.program.ready, root.program.alone) for start in queue]
        return told

    assert in_loop(life) == ["durable", "and again"]


def test_a_program_that_could_not_be_loaded_is_tried_anew_for_the_next_run(lab: Lab) -> None:
    """An engine that stays must not hold a bad moment against a program for ever."""
    text = 'if __name__ == "__flow__":\n    random()\n    sleep("50ms")\n'

    async def begun() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)

    in_loop(begun)
    deaths: list[int] = []

    class DiesAtFirst(WorkerTap):
        def __call__(self, limits: Limits, on_messages: Any, on_end: Any, /) -> Any:
            worker = super().__call__(limits, on_messages, on_end)
            if len(deaths) < 3:
                deaths.append(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
            return worker

    lab.spawn = DiesAtFirst()

    async def life() -> list[Outcome]:
        with lab.engine() as engine:
            outcomes = []
            for _ in range(2):
                engine.adopt("r")
                outcomes.append(await asyncio.wait_for(engine.outcome("r"), 20))
            return outcomes

    first, second = in_loop(life)
    assert first.error is not None
    assert "SIGKILL" in first.error.message
    assert value_of(second) is None
