"""``flowmetal signal``: sends a message to a run."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, quiet_option


@click.command(name="signal")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.argument("name", metavar="NAME")
@click.argument("value", metavar="[JSON]", required=False)
@click.option("--json-file", "file", metavar="FILE", help="Read the value from a file of JSON; - is standard input.")
@home_option
@quiet_option
def command(run_id: str, name: str, value: str | None, file: str | None, home: str | None, quiet: bool) -> int:
    """Send a message to a run, which takes it by `fctx.actions.receive(NAME)`; without JSON its value is None.

    RUN may be a part of a run, such as etl-01.3: each has messages of its own. They are kept in order. A run that a
    live process drives has the message at once; one that nobody drives finds it when it is resumed.
    """
    from flowmetal.cli.signalling import signal

    return signal(run_id, name, value, file, home, quiet)
