"""``flowmetal explain``: why is a run not moving?"""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, json_option


@click.command(name="explain")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@home_option
@json_option("Print one object.")
def command(run_id: str, home: str | None, as_json: bool) -> int:
    """Say why a run is not moving: what it waits for, since when, and the command that would free it.

    The first lines are the answer; the tree of all that is open follows. RUN may be a part of a run. All of it is read
    from the journal, so it works whether or not anyone drives the run.
    """
    from flowmetal.cli.explain_words import data_of, print_explanation
    from flowmetal.cli.explaining import explain
    from flowmetal.cli.reading import open_existing

    explanation = explain(open_existing(home), run_id, home)
    if as_json:
        from flowmetal.cli.text import json_text

        print(json_text(data_of(explanation), indent=2))
    else:
        print_explanation(explanation)
    return 0
