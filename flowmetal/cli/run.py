"""``flowmetal run``: starts a file, or one flow of it, and stays until it has ended."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

import click

from flowmetal.cli.options import (
    DURATION,
    grant_options,
    home_option,
    json_option,
    limit_option,
    package_options,
    quiet_option,
)


class RunCommand(click.Command):
    """A command whose options are known before and after FILE; what else follows FILE is the flow's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Divides the command line into what is ours and what is the flow's."""
        ours, file, theirs = self._divide(ctx, args)
        ctx.meta["flowmetal.theirs"] = theirs
        return super().parse_args(ctx, [*ours, "--", *file])

    def _divide(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str], list[str]]:
        values_taken: dict[str, int] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option):
                values_taken.update(dict.fromkeys(param.opts, 0 if param.is_flag else param.nargs))
        ours: list[str] = []
        file: list[str] = []
        theirs: list[str] = []
        rest = iter(args)
        for token in rest:
            name, equals, _ = token.partition("=")
            if token == "--":
                theirs += rest
            elif file and name in ctx.help_option_names:
                theirs.append("--help")
            elif name in values_taken:
                ours.append(token)
                missing = max(0, values_taken[name] - bool(equals))
                values = list(islice(rest, missing))
                if len(values) < missing:
                    many = "an argument" if values_taken[name] == 1 else f"{values_taken[name]} arguments"
                    raise click.BadOptionUsage(name, f"Option '{name}' requires {many}.", ctx)
                ours += values
            elif file:
                theirs.append(token)
            else:
                (ours if token.startswith("-") and token != "-" else file).append(token)
        if not file and theirs and not theirs[0].startswith("-"):
            file = [theirs.pop(0)]
        return ours, file, theirs


@click.command(
    cls=RunCommand,
    name="run",
    options_metavar="[OPTIONS]",
    epilog="What follows FILE:FLOW are the flow's own arguments, --name VALUE; `flowmetal run FILE:FLOW --help` "
    "lists them. After `--` every option is the flow's.",
)
@click.argument("target", metavar="FILE[:FLOW]", type=click.Path())
@click.option("--id", "run_id", metavar="ID", help="The run's id: asked for twice, it is one run. Default: a new one.")
@grant_options
@click.option(
    "--on-deny",
    type=click.Choice(("err", "wait")),
    default="err",
    show_default=True,
    help="What becomes of an effect that is not granted: Err, or it waits for `flowmetal grant`.",
)
@click.option(
    "--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label to find the run by; may be repeated."
)
@click.option(
    "--timeout", metavar="DURATION", type=DURATION, help="End the run when it takes longer, for instance 30s or 1h30m."
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
@quiet_option
@json_option('Print one object: {"run", "flow", "status", "result" or "failure", "seconds"}.')
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int:
    """Run a flow file, or one flow of it.

    FILE alone runs the file's body, FILE:FLOW one flow with arguments from the command line. The result goes to
    stdout and nothing else does. Exit code 0: it is Ok; 1: it is Err; 2: what was asked for is wrong; 130: interrupted,
    `flowmetal resume` goes on with it.
    """
    from flowmetal.cli.limiting import parse_limits
    from flowmetal.engine.launching import coming_up

    with coming_up(parse_limits(options["limits"]), wanted=has_file(options["target"])) as spare:
        from flowmetal.cli.running import run_target

        return run_target(spare=spare, theirs=ctx.meta["flowmetal.theirs"], **options)


def has_file(target: str) -> bool:
    """Whether the file of ``FILE[:FLOW]`` is there."""
    return any(os.path.isfile(file) for file in (target, target.rpartition(":")[0]))
