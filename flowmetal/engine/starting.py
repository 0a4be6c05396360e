"""Starting a root run and taking one up again: from a request to what the journal holds, and back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowmetal.engine.attempts import packed_policy, with_deadline
from flowmetal.engine.ceilings import under_ceilings, with_later_packages
from flowmetal.engine.ledger import Ledger
from flowmetal.engine.programs import Programs, program_key
from flowmetal.engine.supply import packages_of
from flowmetal.engine.table import ProgramState, RootState
from flowmetal.journal import events
from flowmetal.journal.blobs import externalize
from flowmetal.journal.headers import Header, program_digest
from flowmetal.journal.journal import Journal
from flowmetal.journal.starting import StartRequest
from flowmetal.permissions.grants import GrantSet
from flowmetal.settings import Limits


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What someone wants run.

    ``modules`` are those whose doing it is, where a flow of theirs began the run that this is a rerun of.

    ``file`` is the path of the main file, absolute; results are taken over from the run ``rerun_of``, up to the event
    ``rerun_upto`` (0: all), if there is one.  ``on_deny`` is "wait" if an effect that is not
    granted waits for a grant, "" if it is Err.

    ``nonce`` are the 16 bytes out of which keys are made; without them, random ones.

    ``flow`` is a flow's reference, or "" for the main file's body; ``args`` the encoded ``[args, kwargs]``;
    ``base_dir`` absolute.
    """

    run_id: str
    flow: str
    name: str
    args: bytes
    grants: GrantSet
    base_dir: str
    labels: Mapping[str, str] = field(default_factory=dict)
    deadline_ms: int | None = None
    on_deny: str = ""
    file: str = ""
    rerun_of: str = ""
    rerun_upto: int = 0
    modules: tuple[str, ...] = ()
    nonce: bytes = b""


def code_of(program: ProgramState) -> dict[str, str]:
    """Label → hex sha256 of every module, in load order."""
    return {label: hashlib.sha256(program.sources[label].encode()).hexdigest() for label in program.labels}


def start_request(request: RunRequest, program: ProgramState, now_ms: int) -> StartRequest:
    """All that starting a root run writes."""
    digests = code_of(program)
    grants = under_ceilings(request.grants, program.graph, request.base_dir)
    kept, blobs = externalize(request.args, request.run_id)
    facts = events.RootFacts(
        program=list(digests.items()),
        main=program.main,
        limits=program.limits.to_data(),
        grants=grants.to_data(),
        base_dir=request.base_dir,
        nonce=request.nonce or os.urandom(16),
        versions=program.versions,
        labels=request.labels,
        deadline_ms=request.deadline_ms,
        on_deny=request.on_deny,
        file=request.file,
        packages=packages_of(program),
    )
    flow = program.flows.get(request.flow)
    policy = packed_policy(flow.policy) if flow is not None else b""
    header = Header(
        run_id=request.run_id,
        flow=request.flow,
        name=request.name,
        root=request.run_id,
        created_ms=now_ms,
        program=program_digest(digests.items()),
        main=program.main,
        deadline_ms=request.deadline_ms,
        ends_by_ms=request.deadline_ms,
        labels=dict(request.labels),
        args_digest=hashlib.sha256(request.args).hexdigest(),
        grants_digest=grants.digest(),
        policy=policy,
        rerun_of=request.rerun_of,
        rerun_upto=request.rerun_upto,
    )
    if policy:
        header = with_deadline(header, now_ms)
    started = events.started(
        now_ms, request.flow, request.name, kept, modules=request.modules, policy=policy or None, root=facts
    )
    code = {digest: program.sources[label] for label, digest in digests.items()}
    return StartRequest(header, started, code, blobs)


def root_state(journal: Journal, programs: Programs, header: Header) -> RootState:
    """What a root run's own ``started`` says of it, and the program it is pinned to.

    Raises:
        JournalError: the event or the code is missing or damaged.
    """
    fields = journal.facts(header.run_id)
    grants = GrantSet.from_data(fields["grants"])
    if grants.digest() != header.grants_digest:
        grants = _current_grants(journal, header.run_id, grants)
    packages = fields.get("packages", [])
    grants = with_later_packages(grants, [package for package, *_ in packages])
    limits = Limits.from_data(fields["limits"])
    key = program_key(header.program, header.grants_digest, limits)
    program = programs.pinned(
        key,
        fields["main"],
        lambda: {label: journal.code(digest) for label, digest in fields["program"]},
        limits,
        packages,
    )
    return RootState(header, program, fields["nonce"], grants, fields["base_dir"], limits, fields.get("on_deny", ""))


def _current_grants(journal: Journal, run_id: str, grants: GrantSet) -> GrantSet:
    for _, event in journal.history(run_id):
        if event.kind == "grants":
            grants = GrantSet.from_data(event.fields["grants"])
    return grants


def widen_grants(ledger: Ledger, root: RootState, more: GrantSet) -> None:
    """Grants a run more, from now on; an event."""
    root.grants = root.grants.widen(more)
    key = root.header.run_id.encode()
    ledger.append(key, events.grants(ledger.now_ms, root.grants.to_data()))
