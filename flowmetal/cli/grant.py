"""``flowmetal grant``: allows a run more, which goes on with what waited for it."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, quiet_option


@click.command(name="grant")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.argument("grants", metavar="[CLASS=WHAT]...", nargs=-1)
@click.option(
    "--for",
    "grants_for",
    metavar="PACKAGE CLASS=WHAT",
    nargs=2,
    multiple=True,
    help="Allow one loaded package an effect, of what the run is allowed; may be repeated.",
)
@home_option
@quiet_option
def command(
    run_id: str, grants: tuple[str, ...], grants_for: tuple[tuple[str, str], ...], home: str | None, quiet: bool
) -> int:
    """Allow a run more from now on, as --allow does for a new one; without a grant, show what it waits for.

    What waited for it, in a run that was started with --on-deny=wait, goes on. A run that a live process drives takes
    it at once; one that nobody drives takes it when it is resumed.
    """
    from flowmetal.cli.answering import grant

    return grant(run_id, grants, grants_for, home, quiet)
