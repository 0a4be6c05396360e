"""``flowmetal plan``: what a run would do and need, with nothing done."""

from __future__ import annotations

from typing import Any

import click

from flowmetal.cli.options import DURATION, RUN_ID, home_option, json_option, limit_option, package_options
from flowmetal.cli.run import RunCommand, has_file

_TIMEOUT_SECONDS = 60.0


@click.command(
    cls=RunCommand,
    name="plan",
    options_metavar="[OPTIONS]",
    epilog="What follows FILE:FLOW are the flow's own arguments, as for `flowmetal run`.",
)
@click.argument("target", metavar="FILE[:FLOW]", type=click.Path())
@click.option(
    "--from",
    "from_run",
    metavar="RUN",
    type=RUN_ID,
    help="Effects give what they gave in that run, asked for the same.",
)
@click.option(
    "--samples",
    "samples_file",
    metavar="FILE.json",
    type=click.Path(),
    help='What effects give: a JSON object of NAME, or "NAME(FIRST ARGUMENT)", and value; - for stdin.',
)
@click.option(
    "--timeout",
    metavar="DURATION",
    type=DURATION,
    default=_TIMEOUT_SECONDS,
    help="How long to plan, in real time. Default: 1m.",
)
@click.option(
    "--args",
    "args_file",
    metavar="FILE.json",
    type=click.Path(),
    help="Arguments of the flow, as one JSON object; - for stdin.",
)
@limit_option
@package_options
@home_option
@json_option("Print one object: status, result or failure, grants, options, never, given, actions.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Run a flow with every effect replaced by a stub: nothing is done, and time passes at once.

    Prints what it would do, and the smallest set of grants that it would need, as options of `flowmetal run`. An effect
    gives what it gave in the run after --from, else a value of --samples, else the sample that it declares; a person's
    answer likewise. Exit code 0: it came out Ok; 1: Err, or it took too long.
    """
    from flowmetal.cli.limiting import parse_limits
    from flowmetal.engine.launching import coming_up

    with coming_up(parse_limits(options["limits"]), wanted=has_file(options["target"])) as spare:
        from flowmetal.cli.planning import plan_target

        return plan_target(spare=spare, theirs=ctx.meta["flowmetal.theirs"], **options)
