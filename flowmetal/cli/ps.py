"""``flowmetal ps``: the runs of a home."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from flowmetal.cli.options import home_option, json_option, parse_labels

if TYPE_CHECKING:
    from flowmetal.journal.headers import Header
    from flowmetal.journal.journal import Journal

_STATUSES = ("running", "waiting", "paused", "ok", "err", "cancelled", "interrupted")
_SHOWN = 50


@click.command(name="ps")
@click.argument("terms", metavar="[TERM]...", nargs=-1)
@click.option("--status", type=click.Choice(_STATUSES), help="Only runs of this status.")
@click.option("--flow", metavar="NAME", help="Only runs of this flow: etl.flow, etl.flow:analyze or analyze.")
@click.option(
    "--label", "labels", metavar="NAME=VALUE", multiple=True, help="Only runs with this label; may be repeated."
)
@click.option(
    "--limit", type=click.IntRange(min=0), help=f"How many at most, 0 for all. Default: {_SHOWN}, with --json all."
)
@click.option("--lineage", is_flag=True, help="Show of which run each is a rerun, reruns below what they are of.")
@home_option
@json_option("Print one object a run, a line each.")
def command(
    terms: tuple[str, ...],
    status: str | None,
    flow: str | None,
    labels: tuple[str, ...],
    limit: int | None,
    lineage: bool,
    home: str | None,
    as_json: bool,
) -> int:
    """List runs, newest first: id, status, flow, start, duration, and what it waits for or has failed with.

    Terms choose them, and all must fit: flow=NAME, status=STATUS,…, label.NAME=VALUE. The options say the same.
    """
    from flowmetal.cli.matching import parse_terms
    from flowmetal.cli.reading import newest_roots, open_existing
    from flowmetal.cli.run_table import print_runs
    from flowmetal.cli.text import json_text
    from flowmetal.errors import HomeError

    given = [f"label.{name}={value}" for name, value in parse_labels(labels).items()]
    given += [f"flow={flow}"] if flow is not None else []
    given += [f"status={status}"] if status is not None else []
    wanted = parse_terms([*terms, *given])
    try:
        journal = open_existing(home)
    except HomeError as error:
        if not error.message.startswith("there is no journal"):
            raise
        click.echo(f"no runs: {error.message}", err=True)
        return 0
    most = limit if limit is not None else 0 if as_json else _SHOWN
    found = newest_roots(wanted.roots(journal), most + 1 if most else 0)
    rows = found[:most] if most else found
    now_ms = int(time.time() * 1_000)
    if as_json:
        for header in rows:
            print(json_text(_data(journal, header, now_ms)))
        return 0
    none = "no runs"
    if not rows and (all_terms := [*terms, *given]):
        none = f"no run matches {' '.join(all_terms)}{wanted.names_near(journal)}"
    print_runs(journal, rows, now_ms, home, lineage=lineage, none=none)
    if len(found) > len(rows):
        click.echo(f"the newest {most} are shown; --limit 0 shows all", err=True)
    return 0


def _data(journal: Journal, header: Header, now_ms: int) -> dict[str, Any]:
    from flowmetal.cli.reading import flow_of, is_interrupted, seconds_of
    from flowmetal.cli.run_table import failure_of_run, what_it_waits_for
    from flowmetal.cli.text import rfc3339

    failure = failure_of_run(journal, header)
    return {
        "run": header.run_id,
        "flow": flow_of(header),
        "rerun_of": header.rerun_of or None,
        "status": header.status,
        "started": rfc3339(header.created_ms),
        "finished": rfc3339(header.finished_ms) if header.finished_ms is not None else None,
        "seconds": seconds_of(header, now_ms),
        "paused": rfc3339(header.paused_ms) if header.is_held and header.paused_ms is not None else None,
        "interrupted": is_interrupted(journal, header),
        "wakes": rfc3339(header.wake_at_ms) if header.wake_at_ms is not None and not header.is_finished else None,
        "waits_for": what_it_waits_for(journal, header, now_ms),
        "failure": {"kind": failure.kind, "message": failure.message} if failure is not None else None,
        "labels": dict(header.labels),
        "moved_to": header.moved_to or None,
    }
