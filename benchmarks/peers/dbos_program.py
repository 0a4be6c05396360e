"""The cases as programs of DBOS: ``dbos_program.py CASE DIRECTORY``, in a Python that has DBOS.

Everything durable is in SQLite below the directory, with DBOS's own settings of it.  Prints seconds from the workflow's
start to its end, which a command that is timed as a whole does not look at.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from dbos import DBOS, SetWorkflowID

STEPS = 1_000
CHILDREN = 200
EFFECTS = 200
RUN_ID = "bench"

case, place = sys.argv[1], Path(sys.argv[2])
written = place / "written.txt"
DBOS(
    config={
        "name": "bench",
        "system_database_url": f"sqlite:///{place}/dbos.sqlite",
        "run_admin_server": False,
        "log_level": "ERROR",
    }
)
logging.disable(logging.WARNING)


@DBOS.step()
def nothing() -> None:
    """A step that does nothing."""


@DBOS.step()
def append(number: int) -> None:
    """A line at the end of a file, in one call."""
    with written.open("a") as file:
        file.write(f"{number}\n")


@DBOS.workflow()
def child() -> None:
    """A workflow that does nothing."""


@DBOS.workflow()
def steps() -> None:
    """Trivial steps, one after another."""
    for _ in range(STEPS):
        nothing()


@DBOS.workflow()
def children() -> None:
    """Trivial child workflows, one after another."""
    for _ in range(CHILDREN):
        child()


@DBOS.workflow()
def effects() -> None:
    """Steps that touch the world, one after another."""
    for number in range(EFFECTS):
        append(number)


@DBOS.workflow()
def one() -> None:
    """One trivial step."""
    nothing()


DBOS.launch()
begin = time.perf_counter()
if case == "resume":
    # Launching has taken up what was interrupted.
    DBOS.retrieve_workflow(RUN_ID).get_result()
else:
    with SetWorkflowID(RUN_ID):
        {"steps": steps, "children": children, "effects": effects, "one": one}[case]()
print(time.perf_counter() - begin)
DBOS.destroy()
