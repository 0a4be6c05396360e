"""``flowmetal graph``: what of a run needed what."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, json_option

_DEPTH = 3


@click.command(name="graph")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid"]),
    default="text",
    show_default=True,
    help="How to show it.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    default=_DEPTH,
    show_default=True,
    help="How many levels: 1 is what the run itself started.",
)
@home_option
@json_option("Print one object: nodes and edges.")
def command(run_id: str, form: str, depth: int, home: str | None, as_json: bool) -> int:
    """Show the graph of data of a run: its flows and effects, and which of them needed the result of which.

    A Task passed as an argument is an edge. Text shows layers: what stands in one needs only what stands above it.
    Many that are alike are one node with counts. RUN may be a part of a run.
    """
    from flowmetal.cli.graph_words import data_of, mermaid, text
    from flowmetal.cli.graphing import build
    from flowmetal.cli.reading import open_existing
    from flowmetal.cli.text import json_text, printable

    graph = build(open_existing(home), run_id, depth)
    if as_json:
        print(json_text(data_of(graph), indent=2))
        return 0
    for line in mermaid(graph) if form == "mermaid" else text(graph):
        print(printable(line))
    return 0
