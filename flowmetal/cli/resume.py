"""``flowmetal resume``: goes on with runs that were interrupted, with the code they were started with."""

from __future__ import annotations

import click

from flowmetal.cli.options import (
    RUN_ID,
    allow_for_option,
    allow_option,
    home_option,
    json_option,
    many_options,
    quiet_option,
)
from flowmetal.errors import UsageError


@click.command(name="resume")
@click.argument("runs", metavar="[RUN]...", nargs=-1, type=RUN_ID)
@many_options
@click.option(
    "--leave", is_flag=True, help="Only let paused runs go on: `resume --all --watch` elsewhere takes them up."
)
@click.option("--all", "all_runs", is_flag=True, help="All unfinished runs that nobody drives or paused.")
@click.option(
    "--watch", is_flag=True, help="With --all: stay, and take up what becomes free, due or cancelled, until Ctrl-C."
)
@allow_option
@allow_for_option
@click.option(
    "--limit",
    "limits",
    metavar="NAME=VALUE",
    multiple=True,
    help="journal_bytes_per_run=512MiB lets a run go on that was paused by that limit.",
)
@home_option
@quiet_option
@json_option("Print one object a run, a line each, as `run --json` does.")
def command(
    runs: tuple[str, ...],
    all_matching: bool,
    dry_run: bool,
    yes: bool,
    leave: bool,
    all_runs: bool,
    watch: bool,
    allow: tuple[str, ...],
    allow_for: tuple[tuple[str, str], ...],
    limits: tuple[str, ...],
    home: str | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Go on with runs that were interrupted or paused, until they have ended.

    The code is the one they were started with, whatever has become of the file. --allow and --allow-for grant
    more from now on. A run that has ended gives its result again. The exit code is that of the run that went worst.
    """
    from flowmetal.engine.launching import coming_up
    from flowmetal.settings import Limits

    if watch and not all_runs:
        raise UsageError("--watch is for all runs of a home", remedy="write `flowmetal resume --all --watch`")
    if all_runs and (all_matching or leave):
        raise UsageError(f"--all does not go with {'--all-matching' if all_matching else '--leave'}")
    if bool(runs) == all_runs and not all_matching:
        problem = "runs are named and --all is given" if runs else "no run is named"
        raise UsageError(
            problem,
            remedy="`flowmetal resume RUN…` or `flowmetal resume --all`; `flowmetal ps` lists runs",
        )
    # Runs are seldom of other limits, and a worker of theirs comes up as fast as without this one.
    with coming_up(Limits(), wanted=not (leave or dry_run)) as spare:
        from flowmetal.cli.limiting import parse_journal_limit
        from flowmetal.cli.many import Asking
        from flowmetal.cli.resuming import More, resume_all, resume_some
        from flowmetal.permissions.grants import parse_grants
        from flowmetal.sources import working_directory

        grants = parse_grants(allow, (), working_directory(), allow_for=allow_for)
        more = More(grants, parse_journal_limit(limits))
        if all_runs:
            return resume_all(more=more, watch=watch, home=home, quiet=quiet, as_json=as_json, spare=spare)
        asking = Asking("resume", "resumed", all_matching, yes, dry_run)
        return resume_some(runs, asking, more=more, leave=leave, home=home, quiet=quiet, as_json=as_json, spare=spare)
