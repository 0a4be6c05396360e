"""Workflows of jobs: random graphs against a plain reading of the rules, and what the journal holds of them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from flowmetal.alarm_clock import SimulatedClock
from flowmetal.journal.events import Event
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.testing.harness import make_lab, value_of
from tests.prelude.graphs import PROGRAM, Graph, Job, graphs

FEW = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize="FLOWMETAL_SEED" not in os.environ,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


def program(some: list[Graph]) -> str:
    """A flow that runs each workflow and gives its end, and the status and number of each job."""
    made = "\n".join(f"w{at} = {graph.text()}" for at, graph in enumerate(some))
    calls = ", ".join(
        f"told(w{at}(only = {list(graph.only)}, exclude = {list(graph.exclude)}))" for at, graph in enumerate(some)
    )
    return f"""{PROGRAM}
{made}

def told(r):
    jobs = summary_of(r)
    return [r.ok, list(jobs), [it.status for it in jobs.values()], [it.started or 0 for it in jobs.values()]]

main = flow(lambda fctx: [{calls}])

if __name__ == "__flow__":
    main()
"""


def most_at_once(history: list[Event]) -> int:
    """How many tasks of a run were open at once, at most."""
    tasks: set[int] = set()
    most = 0
    for event in history:
        number = event.fields.get("number", 0)
        if event.kind == "action" and event.fields["callee"].startswith(("run ", "start ")):
            tasks.add(number)
        elif event.kind == "result":
            tasks.discard(number)
        most = max(most, len(tasks))
    return most


@FEW
@given(st.lists(graphs(), min_size=1, max_size=6))
def test_jobs_end_as_the_rules_say(some: list[Graph]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        lab = make_lab(Path(directory), MemoryStore(), clock=SimulatedClock(0))
        ends: Any = value_of(lab.run(program(some)))
        for at, (graph, (is_ok, names, statuses, numbers)) in enumerate(zip(some, ends, strict=True)):
            assert names == [graph.jobs[each].name for each in graph.declared]
            assert dict(zip(names, statuses, strict=True)) == graph.statuses(), graph.text()
            assert is_ok == graph.is_ok(), graph.text()
            began = check_order(graph, dict(zip(names, numbers, strict=True)))
            acts = any(job.legs is None or job.legs for job in began)
            assert acts <= most_at_once(lab.events(f"r.1.{at + 1}")) <= graph.max_parallel


def check_order(graph: Graph, numbers: dict[str, int]) -> list[Job]:
    """No job begins before those that it waits for; gives the jobs that did begin."""
    began = sorted(number for number in numbers.values() if number)
    assert began == list(range(1, len(began) + 1))
    for job in graph.jobs:
        before = [numbers[need] for need in job.needs if numbers[need]]
        if numbers[job.name] and before and job.trigger != "one_success":
            assert numbers[job.name] > max(before)
    return [job for job in graph.jobs if numbers[job.name]]
