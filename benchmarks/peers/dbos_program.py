"""The cases as programs of DBOS: ``dbos_program.py CASE DIRECTORY [COUNT]``, in a Python that has DBOS.

Everything durable is in SQLite below the directory, as DBOS sets it up by itself.  Prints the seconds from the
workflow's start to its end, at which a measurement of the whole process does not look.  The case ``about`` prints
versions and settings instead.

It listens nowhere and connects to nothing: without a key there is no conductor, and telemetry is off.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path

from dbos import DBOS, SetWorkflowID
from sqlalchemy import Engine, event

RUN_ID = "bench"
POLL_SECONDS = 0.05
SYNCHRONOUS = ("off", "normal", "full", "extra")

case, place = sys.argv[1], Path(sys.argv[2])
written = place / "written.txt"
connections: list[sqlite3.Connection] = []
if case == "about":
    # How durable a commit is, is a setting of each connection, so it is asked of DBOS's own.
    event.listen(Engine, "connect", lambda connection, _: connections.append(connection))
DBOS(
    config={
        "name": "bench",
        "system_database_url": f"sqlite:///{place}/dbos.sqlite",
        "enable_otlp": False,
        "log_level": "ERROR",
    }
)


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
def steps(count: int) -> None:
    """Trivial steps, one after another."""
    for _ in range(count):
        nothing()


@DBOS.workflow()
def children(count: int) -> None:
    """Trivial child workflows, one after another."""
    for _ in range(count):
        child()


@DBOS.workflow()
def effects(count: int) -> None:
    """Steps that touch the world, one after another."""
    for number in range(count):
        append(number)


DBOS.launch()
begin = time.perf_counter()
if case == "about":
    setting = {name: connections[0].execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    synchronous = SYNCHRONOUS[setting["synchronous"]]
    print(
        f"DBOS {version('dbos')} on SQLite {sqlite3.sqlite_version},"
        f" journal_mode={setting['journal_mode']} synchronous={synchronous}"
    )
elif case == "resume":
    # Launching has taken up what was interrupted.  To look once a second for its end, as is the default, would be ours.
    DBOS.retrieve_workflow(RUN_ID).get_result(polling_interval_sec=POLL_SECONDS)
    print(time.perf_counter() - begin)
else:
    with SetWorkflowID(RUN_ID):
        {"steps": steps, "children": children, "effects": effects}[case](int(sys.argv[3]))
    print(time.perf_counter() - begin)
# No DBOS.destroy(): all is durable, and it would wait most of a second for threads that sleep.
