"""``flowmetal fixture``: a run as a test."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option


@click.command(name="fixture")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "-o", "--output", "output", metavar="FILE", type=click.Path(), help="Write it there, a new file `…_test.flow`."
)
@home_option
def command(run_id: str, output: str | None, home: str | None) -> int:
    """Make a test of a run that has ended: its arguments, what its effects gave, what came of it.

    Of a file's body, a test for each flow that it called.  The test is tried before it is written: what comes out
    otherwise every time, such as a time, is not compared.  Nothing secret is in it, for none is in the journal.
    """
    from flowmetal.cli.fixture_making import make_fixture

    return make_fixture(run_id, output, home)
