"""What ``flowmetal cancel`` does: a message to the engine that drives the run, or the end by an engine of its own."""

from __future__ import annotations

import contextlib
import sys
import time

from flowmetal.cli.display import Display
from flowmetal.cli.driving import drive, journal_drives
from flowmetal.cli.reading import open_existing
from flowmetal.engine.engine import Engine
from flowmetal.errors import EXIT_OK, RunBusyError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.02


def cancel(run_id: str, reason: str, home: str | None, quiet: bool) -> int:
    """Ends a run or a part of one; the exit code.

    Raises:
        UnknownRunError: no such run.
    """
    journal = open_existing(home)
    header = journal.require(run_id)
    if header.is_finished:
        _say(quiet, f"{run_id} has ended already: {header.status}")
        return EXIT_OK
    root = journal.require(root_of(run_id))
    if not journal_drives(journal, root):
        with contextlib.suppress(RunBusyError):  # someone may take it up in this moment
            return _end_here(journal, header, reason, home, quiet)
    journal.post(run_id, {"kind": "cancel", "reason": reason})
    return _wait(journal, run_id, quiet)


def _wait(journal: Journal, run_id: str, quiet: bool) -> int:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        header = journal.require(run_id)
        if header.is_finished:
            _say(quiet, f"{run_id} is {header.status}")
            return EXIT_OK
        time.sleep(_POLL_SECONDS)
    _say(
        quiet,
        f"{run_id} was asked to end and has not yet; whoever drives it will see to it, or `flowmetal resume` will",
    )
    return EXIT_OK


def _end_here(journal: Journal, header: Header, reason: str, home: str | None, quiet: bool) -> int:
    run_id = header.run_id

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        # Between these two no frame is read or written: nothing of the flow is evaluated.
        engine.adopt(root_of(run_id))
        engine.cancel(run_id, reason)
        return EXIT_OK

    code = drive(home, True, work, journal)
    _say(quiet, f"{run_id} is {journal.require(run_id).status}; nobody was driving it")
    return code


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr)
