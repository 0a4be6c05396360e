"""What ``flowmetal run`` does: load, start or find the run, wait, show."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from flowmetal.assembly import conduct_of, locate_program, plugins
from flowmetal.cli import flow_listing
from flowmetal.cli.display import Display
from flowmetal.cli.driving import drive, wait_for_detached, wait_for_end
from flowmetal.cli.fetch_meter import FetchMeter
from flowmetal.cli.flow_arguments import meant, read_arguments
from flowmetal.cli.granting import all_granted, trusted_project
from flowmetal.cli.limiting import parse_limits
from flowmetal.cli.options import parse_labels
from flowmetal.cli.outcomes import finish
from flowmetal.cli.text import with_home
from flowmetal.engine.engine import Engine
from flowmetal.engine.launching import Launched
from flowmetal.engine.starting import RunRequest, code_of
from flowmetal.engine.table import ProgramState
from flowmetal.errors import EXIT_OK, UsageError, did_you_mean
from flowmetal.journal.headers import program_digest
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import check_user_id, new_run_id
from flowmetal.journal.starting import Begun
from flowmetal.language.flows import FlowInfo
from flowmetal.permissions.grants import GrantSet, parse_grants
from flowmetal.permissions.packages import packages_of
from flowmetal.permissions.vocabulary import PATH_EFFECTS
from flowmetal.sources import working_directory
from flowmetal.values import Wire, pack


def run_target(
    *,
    target: str,
    theirs: list[str],
    run_id: str | None,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    allow_all: bool,
    allow_for: tuple[tuple[str, str], ...],
    on_deny: str,
    limits: tuple[str, ...],
    labels: tuple[str, ...],
    timeout: float | None,
    args_file: str | None,
    home: str | None,
    quiet: bool,
    as_json: bool,
    frozen: bool | None = None,
    offline: bool = False,
    spare: Launched | None = None,
) -> int:
    """Runs ``FILE[:FLOW]``; the exit code.  ``spare`` is a worker that is coming up already.

    Raises:
        FlowmetalError: it could not be started, or could not go on.
    """
    file, name = split_target(target)
    now = time.time()
    labels_given = parse_labels(labels)
    asked = parse_grants(allow, deny, working_directory(), allow_for=allow_for)
    chosen = check_user_id(run_id) if run_id is not None else new_run_id(Path(file).stem, now)
    label, sources = locate_program(file, conduct_of(frozen, offline), home, None if quiet else FetchMeter())
    project = trusted_project(sources.root, home)
    grants, notices = all_granted(asked, allow_all, project)
    notices = [*notices, *plugins().problems]
    all_limits = parse_limits(limits, project.limits)
    wants_help = "--help" in theirs

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        program = await engine.load(label, sources, all_limits)
        for news in sources.packages.notices if sources.packages is not None else ():
            display.notice(news)
        if wants_help:
            print(flow_listing.help_text(program, file, name))
            return EXIT_OK
        flow = flow_listing.find(program, file, name) if name else None
        kwargs = (
            read_arguments(flow, target, theirs, args_file) if flow else no_arguments(program, file, theirs, args_file)
        )
        deadline_ms = int((now + timeout) * 1_000) if timeout is not None else None
        request = request_of(chosen, flow, file, kwargs, grants, labels_given, deadline_ms, on_deny)
        tell_missing(asked, display)
        tell_strangers(asked, program, display)
        for notice in notices:
            display.notice(notice)
        begun = engine.begin(program, request)
        explain(begun, program, display, home)
        if begun.outcome == "adopted":
            display.adopted(begun.header)
        outcome = await wait_for_end(
            engine, journal, display, begun.header, ours=begun.outcome in ("started", "adopted")
        )
        display.pause()
        code = finish(journal, outcome, as_json=as_json, home=home, errs=display.errs(chosen))
        await wait_for_detached(engine, display)
        return code

    return drive(home, quiet, work, spare=spare)


def split_target(target: str) -> tuple[str, str]:
    """The file and the flow of ``FILE[:FLOW]``.

    Raises:
        UsageError: an empty flow name.
    """
    file, colon, name = target.rpartition(":")
    if not colon or not file.endswith(".flow"):
        return target, ""
    if not name:
        raise UsageError(f"`{target}` names no flow after the colon", remedy=f"`flowmetal flows {file}` lists them")
    return file, name


def no_arguments(program: ProgramState, file: str, theirs: list[str], args_file: str | None) -> list[Wire]:
    """The arguments of a file's body: none.

    Raises:
        UsageError: some were given; names the flows that could take them.
    """
    if theirs or args_file:
        given = theirs[0] if theirs else f"--args {args_file}"
        raise UsageError(
            f"the body of {file} takes no arguments, but got `{given}`{meant(given)}",
            remedy=flow_listing.commands(program, file, "to run one flow:"),
        )
    return []


def request_of(
    run_id: str,
    flow: FlowInfo | None,
    file: str,
    kwargs: list[Wire],
    grants: GrantSet,
    labels: dict[str, str],
    deadline_ms: int | None,
    on_deny: str = "err",
) -> RunRequest:
    """What the engine is asked for."""
    reference = flow.reference if flow is not None else ""
    name = flow.name if flow is not None else Path(file).name
    waits = "wait" if on_deny == "wait" else ""
    args = pack([[], kwargs])
    return RunRequest(
        run_id, reference, name, args, grants, working_directory(), labels, deadline_ms, waits, os.path.realpath(file)
    )


def tell_missing(grants: GrantSet, display: Display) -> None:
    """Says which grants are of paths that do not exist."""
    rows = grants.to_data()
    for option in ("allow", "deny"):
        for effect, path, *_ in rows[option]:
            if effect in PATH_EFFECTS and not os.path.exists(path):
                display.notice(f"--{option} {effect}={path}: there is no such file or directory yet")


def tell_strangers(grants: GrantSet, program: ProgramState, display: Display) -> None:
    """Says which grants are for modules or packages that the program has not loaded."""
    named = [label for label, _ in grants.packages]
    present = {*program.labels, *packages_of(program.labels, named)}
    for label in named:
        if label not in present:
            what = "module" if label.startswith("//") else "package"
            near = did_you_mean(label, present)
            display.notice(f"--allow-for {label}: the program loads no {what} of this name{near}")


def explain(begun: Begun, program: ProgramState, display: Display, home: str | None) -> None:
    """Says on stderr what became of asking for a run id that exists."""
    run_id = begun.header.run_id
    changed = begun.header.program != program_digest(code_of(program).items())
    edited = "; the file has changed since, the code it was started with is used" if changed else ""
    if begun.outcome == "adopted":
        display.notice(f"resuming {run_id}, which was interrupted{edited}")
    elif begun.outcome == "followed":
        display.notice(f"{run_id} is driven by another process; waiting for its end{edited}")
    elif begun.outcome == "finished":
        log = with_home(f"flowmetal log {run_id}", home)
        display.notice(
            f"{run_id} has run before, this is its result{'; the file has changed since' if changed else ''} ({log})"
        )
    sys.stderr.flush()
