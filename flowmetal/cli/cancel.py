"""``flowmetal cancel``: ends runs with everything they started, whoever drives them."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, many_options, quiet_option


@click.command(name="cancel")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=RUN_ID)
@many_options
@click.option("--reason", default="someone asked for it", show_default=True, help="Recorded with the run.")
@home_option
@quiet_option
def command(
    runs: tuple[str, ...],
    all_matching: bool,
    dry_run: bool,
    yes: bool,
    reason: str,
    home: str | None,
    quiet: bool,
) -> int:
    """End runs and everything they started.

    A run that a live process drives is asked to end, and this waits up to five seconds for it. A run that nobody drives
    is ended right here; no line of its code runs. RUN may also be a part of a run, such as etl-01.3.
    """
    from flowmetal.cli.cancelling import cancel
    from flowmetal.cli.many import Asking

    return cancel(runs, Asking("cancel", "cancelled", all_matching, yes, dry_run), reason, home, quiet)
