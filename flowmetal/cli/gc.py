"""``flowmetal gc``: removes runs that ended long ago."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from flowmetal.cli.options import DURATION, home_option, json_option


@click.command(name="gc")
@click.option(
    "--older-than", metavar="DURATION", type=DURATION, required=True, help="How long ago they ended, for instance 30d."
)
@click.option("--status", type=click.Choice(["ok", "err", "cancelled"]), help="Only runs that ended so.")
@home_option
@json_option("Print how many records were removed, as one object.")
def command(older_than: float, status: str | None, home: str | None, as_json: bool) -> int:
    """Remove finished runs and what only they used, while engines go on working.

    Runs that have not ended are never removed, nor is one that started a run which has not.
    """
    from flowmetal.cli.reading import open_existing

    counts = asdict(open_existing(home).gc(int(older_than * 1_000), status))
    if as_json:
        print(json.dumps(counts))
    else:
        print(
            f"removed {counts['roots']:,} runs; "
            + ", ".join(f"{n:,} {name}" for name, n in counts.items() if name != "roots")
        )
    return 0
