"""What ``flowmetal cancel`` does: a message to the engine that drives a run, or the end by an engine of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from flowmetal.cli.display import Display
from flowmetal.cli.driving import drive, journal_drives
from flowmetal.cli.many import SHOWN, Asking, chosen
from flowmetal.cli.reading import open_existing
from flowmetal.engine.endings import HANDLING
from flowmetal.engine.engine import Engine
from flowmetal.errors import EXIT_OK, RunBusyError
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of

_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.02


def cancel(names: Sequence[str], asking: Asking, reason: str, now: bool, home: str | None, quiet: bool) -> int:
    """Ends runs or parts of them, ``now`` or when they have cleaned up; the exit code.

    Raises:
        UnknownRunError: no such run; nothing has been done then.
    """
    journal = open_existing(home)
    ids = chosen(journal, names, asking, lambda header: not header.is_finished and not header.moved_to, home)
    ends: dict[str, str] = {}
    free: list[str] = []
    asked: list[str] = []
    for run_id in ids:
        header = journal.require(run_id)
        if header.is_finished:
            ends[run_id] = f"{run_id} has ended already: {header.status}"
        elif journal_drives(journal, journal.require(root_of(run_id))):
            asked.append(run_id)
        else:
            free.append(run_id)
    cut_off = {run_id for run_id in free if journal.require(run_id).ending}
    if free:
        asked += _end_here(journal, free, reason, now, home)
        ends.update({each: _ended_here(journal, each, each in cut_off) for each in free if each not in asked})
    for run_id in asked:
        journal.post(run_id, {"kind": "cancel", "reason": reason, "now": now})
    _wait(journal, asked, quiet)
    for run_id in asked:
        header = journal.require(run_id)
        ends[run_id] = f"{run_id} is {header.status}"
        if not header.is_finished and header.ending not in ("", HANDLING):
            ends[run_id] = (
                f"{run_id} is cleaning up, but nobody drives it now; that goes on with: "
                f"flowmetal resume {root_of(run_id)} (another cancel would end it without)"
            )
        elif not header.is_finished:
            ends[run_id] = (
                f"{run_id} was asked to end and has not yet; whoever drives it will see to it, "
                "or `flowmetal resume` will"
            )
    if not quiet:
        _tell(journal, ids, ends)
    return EXIT_OK


def _ended_here(journal: Journal, run_id: str, was_cleaning_up: bool) -> str:
    header = journal.require(run_id)
    if header.is_finished and was_cleaning_up:
        return f"{run_id} is {header.status} at once: it was cleaning up, and what was left of that is not done"
    if header.is_finished:
        return f"{run_id} is {header.status}; nobody was driving it"
    return f"{run_id} cleans up and ends as soon as its run goes on: flowmetal resume {root_of(run_id)}"


def _wait(journal: Journal, asked: Sequence[str], quiet: bool) -> None:
    """Waits for the end of runs that others drive: not for long, or for as long as they clean up."""
    end = time.monotonic() + _PATIENCE_SECONDS
    told: set[str] = set()
    left = list(asked)
    while left:
        left = [run_id for run_id in left if not journal.require(run_id).is_finished]
        cleaning = [run_id for run_id in left if _cleans_up(journal, run_id)]
        for run_id in cleaning:
            if run_id not in told and not quiet:
                print(f"{run_id} cleans up; to end it at once: flowmetal cancel --now {run_id}", file=sys.stderr)
            told.add(run_id)
        left = [run_id for run_id in left if run_id in cleaning or run_id not in told]  # whose engine has died is told
        if not cleaning and time.monotonic() > end:
            return
        if left:
            time.sleep(_POLL_SECONDS)


def _cleans_up(journal: Journal, run_id: str) -> bool:
    return journal.require(run_id).ending != "" and journal_drives(journal, journal.require(root_of(run_id)))


def _end_here(journal: Journal, free: Sequence[str], reason: str, now: bool, home: str | None) -> list[str]:
    """Ends runs that nobody drives; those that someone took up in this moment are given back."""
    busy: list[str] = []

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        # Of a whole run only cleanups are left.  A part has them when its run goes on, which is not ours to do.
        whole = [run_id for run_id in free if run_id == root_of(run_id)]
        for some in (whole, [run_id for run_id in free if run_id not in whole]):
            for run_id in some:
                try:
                    # Between these two no frame is read or written: nothing of the flow is evaluated.
                    engine.adopt(root_of(run_id))
                    engine.cancel(run_id, reason, at_once=now)
                except RunBusyError:
                    busy.append(run_id)
            if some is whole:
                await engine.idle()
        return EXIT_OK

    drive(home, True, work, journal)
    return busy


def _tell(journal: Journal, ids: Sequence[str], ends: dict[str, str]) -> None:
    if len(ids) <= SHOWN:
        for run_id in ids:
            print(ends[run_id], file=sys.stderr)
        return
    statuses = [journal.require(run_id).status for run_id in ids]
    counts = (f"{statuses.count(status):,} {status}" for status in sorted(set(statuses)))
    print(f"of {len(ids):,} runs: {', '.join(counts)}", file=sys.stderr)
