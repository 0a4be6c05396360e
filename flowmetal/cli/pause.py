"""``flowmetal pause``: nobody goes on with a run until it is resumed."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, many_options, quiet_option


@click.command(name="pause")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=RUN_ID)
@many_options
@click.option("--reason", default="", help="Why; shown wherever the run is.")
@click.option("--cut", is_flag=True, help="Cut effects under way off, as a kill would, instead of waiting for them.")
@home_option
@quiet_option
def command(
    runs: tuple[str, ...],
    all_matching: bool,
    dry_run: bool,
    yes: bool,
    reason: str,
    cut: bool,
    home: str | None,
    quiet: bool,
) -> int:
    """Pause runs: nobody goes on with them until `flowmetal resume`.

    A run that a live process drives asks for nothing more at once; effects under way end first and are recorded, and
    this waits up to five seconds for it. A run that nobody drives is paused right here.
    """
    from flowmetal.cli.many import Asking
    from flowmetal.cli.pausing import Pause, pause

    asking = Asking("pause", "paused", all_matching, yes, dry_run)
    return pause(runs, asking, Pause(reason, cut), home, quiet)
