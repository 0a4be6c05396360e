"""``flowmetal cancel``: ends a run with everything it started, whoever drives it."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, quiet_option


@click.command(name="cancel")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option("--reason", default="someone asked for it", show_default=True, help="Recorded with the run.")
@home_option
@quiet_option
def command(run_id: str, reason: str, home: str | None, quiet: bool) -> int:
    """End a run and everything it started.

    A run that a live process drives is asked to end, and this waits up to five seconds for it. A run that nobody drives
    is ended right here; no line of its code runs. RUN may also be a part of a run, such as etl-01.3.
    """
    from flowmetal.cli.cancelling import cancel

    return cancel(run_id, reason, home, quiet)
