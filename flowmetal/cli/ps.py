"""``flowmetal ps``: the runs of a home."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from flowmetal.cli.options import home_option, json_option, parse_labels

if TYPE_CHECKING:
    from flowmetal.journal.headers import Header
    from flowmetal.journal.journal import Journal

_STATUSES = ("running", "waiting", "paused", "ok", "err", "cancelled")
_SHOWN = 50


@click.command(name="ps")
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs of this status.")
@click.option("--flow", metavar="NAME", help="Only runs of this flow: etl.flow, etl.flow:analyze or analyze.")
@click.option(
    "--label", "labels", metavar="NAME=VALUE", multiple=True, help="Only runs with this label; may be repeated."
)
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"How many at most, 0 for all. Default: {_SHOWN}, with --json all."
)
@home_option
@json_option("Print one object a run, a line each.")
def command(
    status: str | None, flow: str | None, labels: tuple[str, ...], limit: int | None, home: str | None, as_json: bool
) -> int:
    """List runs, newest first: id, status, flow, start, duration, and what an unfinished one waits for."""
    from flowmetal.cli.reading import flow_of, newest_roots, open_existing
    from flowmetal.cli.text import json_text
    from flowmetal.errors import HomeError

    wanted_labels = parse_labels(labels)

    def wanted(header: Header) -> bool:
        if flow is not None and flow not in (flow_of(header), header.name, header.flow):
            return False
        return all(header.labels.get(name) == value for name, value in wanted_labels.items())

    try:
        journal = open_existing(home)
    except HomeError as error:
        if not error.message.startswith("there is no journal"):
            raise
        click.echo(f"no runs: {error.message}", err=True)
        return 0
    most = limit if limit is not None else 0 if as_json else _SHOWN
    found = newest_roots(journal, wanted, most + 1 if most else 0, status)
    rows = found[:most] if most else found
    now_ms = int(time.time() * 1_000)
    if as_json:
        for header in rows:
            print(json_text(_data(journal, header, now_ms)))
        return 0
    _print_table(journal, rows, now_ms, home)
    if len(found) > len(rows):
        click.echo(f"the newest {most} are shown; --limit 0 shows all", err=True)
    return 0


def _data(journal: Journal, header: Header, now_ms: int) -> dict[str, Any]:
    from flowmetal.cli.reading import flow_of, is_interrupted, seconds_of
    from flowmetal.cli.text import rfc3339

    return {
        "run": header.run_id,
        "flow": flow_of(header),
        "status": header.status,
        "started": rfc3339(header.created_ms),
        "finished": rfc3339(header.finished_ms) if header.finished_ms is not None else None,
        "seconds": seconds_of(header, now_ms),
        "interrupted": is_interrupted(journal, header),
        "wakes": rfc3339(header.wake_at_ms) if header.wake_at_ms is not None and not header.is_finished else None,
        "waits_for": _waits_for(journal, header, now_ms),
        "labels": dict(header.labels),
        "moved_to": header.moved_to or None,
    }


def _print_table(journal: Journal, headers: list[Header], now_ms: int, home: str | None) -> None:
    from flowmetal.cli.reading import flow_of, is_interrupted, seconds_of
    from flowmetal.cli.table import print_table
    from flowmetal.cli.text import printable, show_moment, show_seconds

    rows = []
    for header in headers:
        note = printable(_waits_for(journal, header, now_ms))
        if header.moved_to:
            note = printable(_moved(header))
        elif is_interrupted(journal, header):
            note = printable(_goes_on_with(journal, header, home))
        duration = show_seconds(seconds_of(header, now_ms))
        rows.append(
            [header.run_id, header.status, printable(flow_of(header)), show_moment(header.created_ms), duration, note]
        )
    if rows:
        print_table(["RUN", "STATUS", "FLOW", "STARTED", "DURATION", "WAITING FOR"], rows)
    else:
        print("no runs", file=sys.stderr)


def _goes_on_with(journal: Journal, header: Header, home: str | None) -> str:
    """What an interrupted run waits for, if it is a person, and the command for it."""
    from flowmetal.cli.questions import GRANT, INPUT, answers_in_mail, latest_questions
    from flowmetal.cli.text import with_home

    resume = with_home(f"flowmetal resume {header.run_id}", home)
    if header.status == "paused":
        return f"interrupted: {resume}"
    asked = latest_questions(journal, [header.run_id])
    answered = answers_in_mail(journal, header.run_id) if asked else {}
    for question in asked:
        if (question.run_id, question.number) not in answered and question.reason in (INPUT, GRANT):
            return f"interrupted, {question.summary}: {question.command(home) or resume}"
    return f"interrupted: {resume}"


def _moved(header: Header) -> str:
    """What became of a run that `flowmetal export --move` took out of this home."""
    more = "" if header.is_finished else "; it goes on where that is imported"
    return f"moved into {header.moved_to} by `export --move`{more}"


def _waits_for(journal: Journal, header: Header, now_ms: int) -> str:
    """What an unfinished run waits for: its own timer, or the deepest of what it started."""
    from flowmetal.cli.reading import waits_for

    return "" if header.is_finished or header.moved_to else waits_for(journal, header, now_ms)
