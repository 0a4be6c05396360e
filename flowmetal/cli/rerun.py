"""``flowmetal rerun``: a new run of what an earlier one did, with today's code, without what was Ok."""

from __future__ import annotations

import click

from flowmetal.cli.options import (
    RUN_ID,
    allow_for_option,
    allow_option,
    home_option,
    json_option,
    package_options,
    quiet_option,
)


@click.command(name="rerun")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "--from",
    "from_action",
    metavar="ACTION",
    help="Take over only what came before this action: 3 is #3 of RUN, 1.3 is #3 of the child that #1 began.",
)
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, help="Another argument; may be repeated.")
@click.option("--id", "new_id", metavar="ID", help="The id of the new run. Default: a new one.")
@click.option("--file", "file", metavar="FILE", type=click.Path(), help="The flow file. Default: where it was then.")
@allow_option
@allow_for_option
@package_options
@home_option
@quiet_option
@json_option('Print one object: {"run", "flow", "status", "result" or "failure", "seconds"}.')
def command(
    run_id: str,
    from_action: str | None,
    settings: tuple[str, ...],
    new_id: str | None,
    file: str | None,
    allow: tuple[str, ...],
    allow_for: tuple[tuple[str, str], ...],
    frozen: bool | None,
    offline: bool,
    home: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Run again what RUN ran, with the code as it is today, as a new run.

    Flows and effects that were Ok in RUN are not done again if they are asked for with the same arguments: their
    results are taken over, so also what was read, answered by people or received as a message. All else is done anew,
    and with --from all that came from there on. Arguments, grants and labels are those of RUN, unless said otherwise.
    """
    from flowmetal.engine.launching import coming_up
    from flowmetal.settings import Limits

    with coming_up(Limits()) as spare:
        from flowmetal.cli.rerunning import Rerun, rerun

        asked = Rerun(run_id, from_action, settings, new_id, file, allow, allow_for, frozen, offline)
        return rerun(asked, home=home, quiet=quiet, as_json=as_json, spare=spare)
