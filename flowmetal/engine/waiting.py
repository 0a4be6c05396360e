"""What an engine needs for a simulated clock: to know when nothing is left to do, and workers that follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.programs import Spawn
from flowmetal.engine.runs import Runs
from flowmetal.settings import Limits


def all_wait(runs: Runs, effects_under_way: int) -> bool:
    """Whether every run waits for a timer or a person: none is evaluated, none ready, nothing done in the world.

    Looks at every program and every hot run, so it is not for an engine whose clock goes by itself.
    """
    programs = {id(root.program): root.program for root in runs.roots.values()}
    is_cutting_off = any(ending.busy for ending in runs.endings.values())
    return (
        not effects_under_way
        and not is_cutting_off
        and not any(
            program.ready or program.alone or any(run.is_executing for run in program.hot.values())
            for program in programs.values()
        )
    )


def following(spawn: Spawn, clock: SimulatedClock) -> Spawn:
    """Workers that are told the time before anything else, and whenever it has moved before what came of that.

    It stands still while a run is evaluated, so the last they were told is the time.
    """
    workers: WeakSet[WorkerProcess] = WeakSet()

    def moved() -> None:
        for worker in workers:
            worker.send(["time", clock.now_us])

    def started(
        limits: Limits,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[WorkerProcess, str], None],
    ) -> WorkerProcess:
        worker = spawn(limits, on_messages, on_end)
        worker.send(["time", clock.now_us])
        workers.add(worker)
        return worker

    clock.on_move = moved
    return started
