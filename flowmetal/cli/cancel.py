"""``flowmetal cancel``: ends runs with everything they started, whoever drives them."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, many_options, quiet_option


@click.command(name="cancel")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=RUN_ID)
@many_options
@click.option("--reason", default="someone asked for it", show_default=True, help="Recorded with the run.")
@click.option("--now", is_flag=True, help="End it at once: nothing is cleaned up.")
@home_option
@quiet_option
def command(
    runs: tuple[str, ...],
    all_matching: bool,
    dry_run: bool,
    yes: bool,
    reason: str,
    now: bool,
    home: str | None,
    quiet: bool,
) -> int:
    """End runs and everything they started.

    No more of its code runs but the cleanups and compensations that it has registered, each for its grace time. To
    cancel it once more ends it at once, as --now does.

    A run that a live process drives is asked to end, and this waits for it: five seconds, or for as long as it cleans
    up. A run that nobody drives is ended right here. RUN may also be a part of a run, such as etl-01.3.
    """
    from flowmetal.cli.cancelling import cancel
    from flowmetal.cli.many import Asking

    return cancel(runs, Asking("cancel", "cancelled", all_matching, yes, dry_run), reason, now, home, quiet)
