"""What ``flowmetal pause`` does: a message to the engine that drives a run, or a word in the run's header."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flowmetal.cli.driving import journal_drives
from flowmetal.cli.many import SHOWN, Asking, chosen
from flowmetal.cli.reading import open_existing, root_only
from flowmetal.cli.text import printable, with_home
from flowmetal.errors import EXIT_OK, FlowmetalError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal

_PATIENCE_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Pause:
    """How: ``reason`` is kept with the run; with ``cut`` effects under way are not waited for."""

    reason: str
    cut: bool


def pause(names: Sequence[str], asking: Asking, how: Pause, home: str | None, quiet: bool) -> int:
    """Pauses runs; the worst exit code.

    Raises:
        FlowmetalError: one that is named does not exist or is no root run; nothing has been done then.
    """
    journal = open_existing(home)
    ids = chosen(journal, names, asking, lambda header: not (header.is_finished or header.is_held), home)
    if not asking.all_matching:
        for run_id in ids:
            root_only(journal.require(run_id), "pause")
    worst = EXIT_OK
    asked: list[str] = []
    for run_id in ids:
        try:
            journal.pause(run_id, how.reason, cut=how.cut)
        except FlowmetalError as error:
            worst = max(worst, error.exit_code)
            print(printable(error.show(), keep="\n\t"), file=sys.stderr)
            continue
        asked.append(run_id)
    ends = _wait(journal, asked, how)
    if not quiet:
        _tell(ends, how, home)
    return worst


def _wait(journal: Journal, asked: Sequence[str], how: Pause) -> dict[str, str]:
    """What became of each: paused, busy (paused, with effects under way), asked, or a final status."""
    end = time.monotonic() + _PATIENCE_SECONDS
    left = list(asked)
    while left and time.monotonic() < end:
        left = [run_id for run_id in left if _state(journal, journal.require(run_id), how) in ("asked", "busy")]
        if left:
            time.sleep(_POLL_SECONDS)
    return {run_id: _state(journal, journal.require(run_id), how) for run_id in asked}


def _state(journal: Journal, header: Header, how: Pause) -> str:
    if header.is_finished:
        return header.status
    if header.is_held:
        return "busy" if journal_drives(journal, header) else "paused"
    if not journal_drives(journal, header):
        # Its engine has ended without reading the message.
        return "paused" if journal.pause(header.run_id, how.reason, cut=how.cut).is_held else "asked"
    return "asked"


def _tell(ends: dict[str, str], how: Pause, home: str | None) -> None:
    if len(ends) > SHOWN:
        counts = {state: list(ends.values()).count(state) for state in sorted(set(ends.values()))}
        words = {"busy": "paused as soon as effects under way have ended", "asked": "asked to pause"}
        print("; ".join(f"{count:,} {words.get(state, state)}" for state, count in counts.items()), file=sys.stderr)
        return
    for run_id, state in ends.items():
        resume = with_home(f"flowmetal resume {run_id}", home)
        if state == "paused":
            text = f"{run_id} is paused; it goes on with: {resume}"
        elif state == "busy":
            cut = with_home(f"flowmetal pause {run_id} --cut", home)
            text = f"{run_id} is paused, and effects under way are waited for; to cut them off: {cut}"
        elif state == "asked":
            text = f"{run_id} was asked to pause and has not yet; whoever drives it will see to it"
        else:
            text = f"{run_id} has ended: {state}"
        print(text, file=sys.stderr)
