"""``flowmetal query``: what a run exposes."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, json_option


@click.command(name="query")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.argument("key", metavar="[KEY]", required=False)
@home_option
@json_option("Print the value of KEY, or one object of all keys.")
def command(run_id: str, key: str | None, home: str | None, as_json: bool) -> int:
    """Show the values that a run exposes by `fctx.actions.expose(KEY, value)`: the last one of each key.

    They are read from the journal, of a run that is under way, that waits, or that has ended. RUN may be a part of a
    run, such as etl-01.3: each has values of its own.
    """
    from flowmetal.cli.signalling import query

    return query(run_id, key, home, as_json)
