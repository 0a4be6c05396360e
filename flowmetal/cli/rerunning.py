"""What ``flowmetal rerun`` does: the request of an earlier run, asked again of today's file."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowmetal.assembly import conduct_of, locate_program
from flowmetal.cli import flow_listing
from flowmetal.cli.display import Display
from flowmetal.cli.driving import drive, wait_for_end
from flowmetal.cli.loading_news import tell_of_packages
from flowmetal.cli.outcomes import finish
from flowmetal.cli.reading import load, open_existing, root_only, started_of
from flowmetal.engine.engine import Engine
from flowmetal.engine.launching import Launched
from flowmetal.engine.starting import RunRequest
from flowmetal.engine.table import ProgramState
from flowmetal.errors import UsageError, did_you_mean
from flowmetal.identity import child_id
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import check_user_id, new_run_id
from flowmetal.language.arguments import bind
from flowmetal.language.flows import FlowInfo
from flowmetal.permissions.grants import GrantSet, parse_grants
from flowmetal.settings import Limits
from flowmetal.sources import working_directory
from flowmetal.values import Wire, pack

_ACTION = re.compile(r"[1-9][0-9]*(\.[1-9][0-9]*)*")


@dataclass(frozen=True, slots=True)
class Rerun:
    """What is asked for; see ``flowmetal rerun --help``."""

    run_id: str
    from_action: str | None
    settings: tuple[str, ...]
    new_id: str | None
    file: str | None
    allow: tuple[str, ...]
    allow_for: tuple[tuple[str, str], ...] = ()
    frozen: bool | None = None
    offline: bool = False


def rerun(asked: Rerun, *, home: str | None, quiet: bool, as_json: bool, spare: Launched | None = None) -> int:
    """Starts the new run and waits for its end; the exit code.  ``spare`` is a worker that is coming up already.

    Raises:
        FlowmetalError: the run, its file, its flow or an argument is not there, or does not fit.
    """
    existing = open_existing(home)
    source = existing.require(asked.run_id)
    root_only(source, "rerun")
    facts = started_of(existing, source.run_id)
    upto = _sequence_before(existing, source, asked.from_action) if asked.from_action else 0
    file = _file_of(source, facts, asked.file)
    label, sources = locate_program(file, conduct_of(asked.frozen, asked.offline), home)
    more = parse_grants(asked.allow, (), working_directory(), allow_for=asked.allow_for)
    grants = GrantSet.from_data(facts["grants"]).widen(more)
    new_id = check_user_id(asked.new_id) if asked.new_id else new_run_id(Path(file).stem, time.time())

    async def work(engine: Engine, journal: Journal, display: Display) -> int:
        program = await engine.load(label, sources, Limits.from_data(facts["limits"]))
        tell_of_packages(sources)
        request = _request(journal, program, source, facts, asked, new_id, grants, upto, file)
        begun = engine.begin(program, request)
        if begun.outcome != "started":
            raise UsageError(f"the run `{new_id}` exists already", remedy="choose another --id")
        taken = "what was Ok is taken over, data and answers too (but with --from ACTION)"
        if source.life > 1:
            taken = "nothing is taken over, since nothing is left of its first life"
        display.notice(f"{new_id} is a rerun of {source.run_id}: {taken}")
        outcome = await wait_for_end(engine, journal, display, begun.header, ours=True)
        display.pause()
        return finish(journal, outcome, as_json=as_json, home=home, errs=display.errs(new_id))

    return drive(home, quiet, work, existing, spare)


def _request(
    journal: Journal,
    program: ProgramState,
    source: Header,
    facts: Mapping[str, Any],
    asked: Rerun,
    new_id: str,
    grants: GrantSet,
    upto: int,
    file: str,
) -> RunRequest:
    args, kwargs = load(journal, source.run_id, facts["args"])
    reference, name = "", Path(file).name
    if source.flow:
        wanted = source.flow.rpartition(":")[2].partition("#")[0]
        flow = program.flows.get(source.flow) or flow_listing.find(program, file, wanted)
        reference, name = flow.reference, flow.name
        if asked.settings:
            kwargs = _changed(flow, args, kwargs, asked.settings)
    elif asked.settings:
        raise UsageError(f"{source.run_id} ran the body of {file}, which takes no arguments")
    return RunRequest(
        new_id,
        reference,
        name,
        pack([args, kwargs]),
        grants,
        facts["base_dir"],
        facts["labels"],
        None,
        facts.get("on_deny", ""),
        file,
        source.run_id,
        upto,
        tuple(facts.get("modules", ())),
    )


def _changed(flow: FlowInfo, args: list[Wire], kwargs: list[Wire], settings: tuple[str, ...]) -> list[Wire]:
    """Keyword arguments with those of ``--set`` in the place of what was."""
    declared = {argument.name: argument for argument in flow.arguments}
    given = dict(zip(kwargs[::2], kwargs[1::2], strict=True))
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"`--set {setting}` sets nothing", remedy="write --set NAME=VALUE")
        if name not in declared:
            raise UsageError(
                f"{flow.name} has no argument `{name}`{did_you_mean(name, declared)}",
                remedy=f"it takes: {', '.join(declared)}" if declared else "it declares none",
            )
        given[name] = declared[name].parse(text)
    pairs = [part for pair in given.items() for part in pair]
    bind(flow.name, flow.arguments, args, pairs)
    return pairs


def _file_of(source: Header, facts: Mapping[str, Any], chosen: str | None) -> str:
    if chosen:
        return chosen
    file = facts.get("file", "")
    if not file or not os.path.isfile(file):
        what = f"{file}, which {source.run_id} ran, is not there any more" if file else "the run does not say its file"
        raise UsageError(what, remedy="name it with --file FILE")
    return str(file)


def _sequence_before(journal: Journal, source: Header, action: str) -> int:
    """The sequence of the last event before an action that is named by the numbers that lead to it."""
    if not _ACTION.fullmatch(action):
        raise UsageError(
            f"`--from {action}` names no action", remedy="write --from 3, or --from 1.3 for one of a child"
        )
    *path, number = (int(part) for part in action.split("."))
    run_id = source.run_id
    for each in path:
        run_id = child_id(run_id, each)
    for sequence, event in journal.history(run_id):
        if event.kind in ("action", "child") and event.fields["number"] == number:
            return sequence - 1
    raise UsageError(f"{run_id} has no action #{number}", remedy=f"`flowmetal log {source.run_id}` shows them")
