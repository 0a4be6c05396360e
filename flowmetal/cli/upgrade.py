"""``flowmetal upgrade``: lets runs that are under way go on with other code, if it fits what they have done."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, json_option, quiet_option
from flowmetal.errors import UsageError


@click.command(name="upgrade")
@click.argument("targets", metavar="[RUN]... FILE", nargs=-1, required=True)
@click.option("--all", "all_runs", is_flag=True, help="All unfinished runs of FILE.")
@click.option("--dry-run", is_flag=True, help="Say what would become of each run, and write nothing.")
@home_option
@quiet_option
@json_option("Print one object a run, a line each.")
def command(
    targets: tuple[str, ...], all_runs: bool, dry_run: bool, home: str | None, quiet: bool, as_json: bool
) -> int:
    """Let runs that are under way go on with the code that FILE has now.

    Each run is replayed against it, and nothing is done. Those that would have asked for all that they have asked for
    are moved: `flowmetal resume` goes on with the new code. Of each other the first difference is shown, and it stays
    as it was. Exit code 4 when there is such a run, 3 when a live engine drives one.
    """
    from flowmetal.cli.upgrading import upgrade

    *run_ids, file = targets
    problem = ""
    if all_runs == bool(run_ids):
        problem = "runs are named and --all is given" if run_ids else "no run is named"
        if not all_runs and not file.endswith(".flow"):
            problem = f"no file is named after the run `{file}`"
    elif not file.endswith(".flow") and any(each.endswith(".flow") for each in run_ids):
        problem = "the file comes last"
    if problem:
        raise UsageError(
            problem, remedy="`flowmetal upgrade RUN… FILE` or `flowmetal upgrade --all FILE`; `flowmetal ps` lists runs"
        )
    return upgrade(list(dict.fromkeys(run_ids)), file, dry_run=dry_run, home=home, quiet=quiet, as_json=as_json)
