"""``flowmetal log``: what a run did."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, json_option


@click.command(name="log")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "--follow", "-f", is_flag=True, help="Show events in the order they happen, and go on until the run has ended."
)
@home_option
@json_option("Print one event a line; docs/cli.md names the fields.")
def command(run_id: str, follow: bool, home: str | None, as_json: bool) -> int:
    """Show what a run did: its actions and the flows it started, with times, attempts, results and source lines.

    Times are seconds since the root run began. RUN may also be a part of a run, such as etl-01.3.
    """
    from flowmetal.cli import event_data, event_lines, log_tree
    from flowmetal.cli.reading import open_existing

    journal = open_existing(home)
    header = journal.require(run_id)
    if follow:
        show = event_data.print_json if as_json else event_lines.Printer(journal, header)
        event_lines.follow(journal, header, show)
    elif as_json:
        for run, sequence, event in event_lines.in_order(journal, header):
            event_data.print_json(journal, run, sequence, event, flush=False)
    else:
        log_tree.print_tree(journal, header, home)
    return 0
