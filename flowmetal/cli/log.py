"""``flowmetal log``: what a run did."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, json_option


@click.command(name="log")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "--follow", "-f", is_flag=True, help="Show events in the order they happen, and go on until the run has ended."
)
@click.option("--errs", is_flag=True, help="Show only what came to an Err, and what it was done for.")
@home_option
@json_option("Print one event a line; docs/cli.md names the fields.")
def command(run_id: str, follow: bool, errs: bool, home: str | None, as_json: bool) -> int:
    """Show what a run did: its actions and the flows it started, with times, attempts, results and source lines.

    Times are seconds since the root run began. RUN may also be a part of a run, such as etl-01.3.
    """
    from flowmetal.cli import event_data, event_lines, log_tree
    from flowmetal.cli.reading import open_existing
    from flowmetal.errors import UsageError

    if errs and (follow or as_json):
        remedy = "of its lines, take those whose `ok` is false" if as_json else "show them when the run has ended"
        raise UsageError(f"--errs does not go with {'--json' if as_json else '--follow'}", remedy=remedy)
    journal = open_existing(home)
    header = journal.require(run_id)
    if follow:
        show = event_data.print_json if as_json else event_lines.Printer(journal, header)
        event_lines.follow(journal, header, show)
    elif as_json:
        for run, sequence, event in event_lines.in_order(journal, header):
            event_data.print_json(journal, run, sequence, event, flush=False)
    else:
        log_tree.print_tree(journal, header, home, only_errs=errs)
    return 0
