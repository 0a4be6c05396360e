"""Whether an engine can do nothing more before time goes on: what a simulated clock has to know."""

from __future__ import annotations

from flowmetal.engine.runs import Runs


def all_wait(runs: Runs, effects_under_way: int) -> bool:
    """Whether every run waits for a timer or a person: none is evaluated, none ready, nothing done in the world.

    Looks at every program and every hot run, so it is not for an engine whose clock goes by itself.
    """
    programs = {id(root.program): root.program for root in runs.roots.values()}
    return not effects_under_way and not any(
        program.ready or program.alone or any(run.is_executing for run in program.hot.values())
        for program in programs.values()
    )
