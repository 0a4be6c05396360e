"""What a command does to many runs at once: they are chosen by a filter, shown, and asked about first."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import click

from flowmetal.cli.matching import parse_terms
from flowmetal.cli.run_table import print_runs
from flowmetal.errors import UsageError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal

SHOWN: Final = 20
"""How many runs are shown, or told of one by one; of more, how many there are."""


@dataclass(frozen=True, slots=True)
class Asking:
    """How a command chooses runs: ``verb`` is what it does to them, ``done`` what they are then."""

    verb: str
    done: str
    all_matching: bool
    yes: bool
    dry_run: bool


def chosen(
    journal: Journal, names: Sequence[str], asking: Asking, may_be: Callable[[Header], bool], home: str | None
) -> list[str]:
    """The ids of the runs that are meant, newest first; none when there is nothing to be done.

    Args:
        journal: where they are.
        names: ids, or the terms of a filter.
        asking: what is to be done.
        may_be: which of those that match it can be done to.
        home: the home that the command line names.

    Raises:
        UsageError: nothing was named, or nobody can be asked whether it is meant.
    """
    if not asking.all_matching:
        return _named(journal, names, asking, home)
    if not names:
        raise UsageError(
            "--all-matching needs at least one term", remedy="flow=NAME, status=STATUS,…, label.NAME=VALUE"
        )
    wanted = parse_terms(names)
    found = [header for header in wanted.roots(journal) if may_be(header)]
    found.sort(key=lambda header: (header.created_ms, header.run_id), reverse=True)
    if not found:
        _say(f"no run that could be {asking.done} matches {' '.join(names)}{wanted.names_near(journal)}")
        return []
    if asking.yes and not asking.dry_run:
        return [header.run_id for header in found]
    if not asking.dry_run and not (sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{_runs(found)} would be {asking.done}, and nobody can be asked here",
            remedy="look at them with --dry-run; --yes does it without asking",
        )
    _show(journal, found, home)
    if asking.dry_run:
        _say(f"{_runs(found)} would be {asking.done}; nothing was done")
        return []
    if not click.confirm(f"{asking.verb} {'this run' if len(found) == 1 else f'these {len(found):,} runs'}?", err=True):
        _say("nothing was done")
        return []
    return [header.run_id for header in found]


def _named(journal: Journal, names: Sequence[str], asking: Asking, home: str | None) -> list[str]:
    if not names:
        raise UsageError(
            "no run is named",
            remedy=f"`flowmetal {asking.verb} RUN…`, or `flowmetal {asking.verb} --all-matching flow=NAME`; "
            "`flowmetal ps` lists runs",
        )
    for name in names:
        if "=" in name:
            raise UsageError(
                f"`{name}` is no run", remedy=f"`flowmetal {asking.verb} --all-matching {' '.join(names)}`"
            )
    ids = list(dict.fromkeys(names))
    headers = [journal.require(run_id) for run_id in ids]
    if asking.dry_run:
        _show(journal, headers, home)
        _say("nothing was done")
        return []
    return ids


def _show(journal: Journal, found: Sequence[Header], home: str | None) -> None:
    print_runs(journal, found[:SHOWN], int(time.time() * 1_000), home)
    if len(found) > SHOWN:
        print(f"… and {len(found) - SHOWN:,} more")
    sys.stdout.flush()


def _runs(found: Sequence[Header]) -> str:
    return "1 run" if len(found) == 1 else f"{len(found):,} runs"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
