"""``fctx.actions.start(f, …)``: a flow that becomes a run of its own, a root."""

from __future__ import annotations

import hashlib
import os

import msgpack

from flowmetal.engine.attempts import packed_policy, with_deadline
from flowmetal.engine.runs import Runs
from flowmetal.engine.table import HotRun, OpenAction, RootState
from flowmetal.errors import ConflictError
from flowmetal.journal import closing, events
from flowmetal.journal.blobs import externalize
from flowmetal.journal.headers import Header
from flowmetal.journal.starting import StartRequest
from flowmetal.policy import policy_items
from flowmetal.values import Failure, err, ok, pack

_MAX_ID = 100


def start_detached(runs: Runs, engine_id: bytes, run: HotRun, action: OpenAction, args: bytes) -> None:
    """Starts the run, unless it has been; the Result is Ok with the run's id."""
    settings = policy_items(msgpack.unpackb(action.args)[2])
    run_id = settings.get("id") or _id_from(run.run_id, action.number)
    if not runs.ledger.commit():
        return
    digest = hashlib.sha256(args).hexdigest()
    existing = runs.ledger.journal.header(run_id)
    message = ""
    if existing is None:
        message = _begin(runs, engine_id, run, action, args, run_id, digest)
    elif (existing.flow, existing.args_digest) != (action.target, digest):
        message = f"the run {run_id} exists with another flow or other arguments"
    if message:
        failure = Failure("failed", message, flow=action.name, source=action.line)
        runs.deliver(run.run_id, action.number, pack(err(failure)))
    else:
        runs.deliver(run.run_id, action.number, pack(ok(run_id)))


def _begin(runs: Runs, engine_id: bytes, run: HotRun, action: OpenAction, args: bytes, run_id: str, digest: str) -> str:
    """Writes the run's start and makes it ready; why not, or ""."""
    ledger = runs.ledger
    settings = msgpack.unpackb(action.args)[2]
    how = policy_items(settings)["parent_close"]
    parent = run.root
    fields = ledger.journal.facts(parent.header.run_id)
    nonce = os.urandom(16)
    facts = events.RootFacts(
        program=fields["program"],
        main=fields["main"],
        limits=fields["limits"],
        grants=parent.grants.to_data(),
        base_dir=parent.base_dir,
        nonce=nonce,
        versions=fields["versions"],
        labels=fields["labels"],
        on_deny=parent.on_deny,
        file=fields.get("file", ""),
        packages=fields.get("packages", []),
    )
    header = Header(
        run_id=run_id,
        flow=action.target,
        name=action.name,
        root=run_id,
        created_ms=ledger.now_ms,
        program=parent.header.program,
        main=parent.header.main,
        labels=dict(fields["labels"]),
        args_digest=digest,
        grants_digest=parent.grants.digest(),
        policy=packed_policy(settings),
        started_by=run.run_id,
    )
    header = with_deadline(header, ledger.now_ms)
    kept, blobs = externalize(args, run_id)
    modules = tuple(dict.fromkeys((*run.modules, *action.modules)))
    started = events.started(
        ledger.now_ms,
        action.target,
        action.name,
        kept,
        detached=True,
        modules=modules,
        policy=header.policy or None,
        root=facts,
    )
    notes = [] if how == closing.ABANDON else [closing.closing_pair(run.run_id, run_id, how)]
    try:
        begun = ledger.journal.begin(StartRequest(header, started, blobs=blobs, notes=notes), engine_id)
    except ConflictError as error:
        return error.message
    if begun.outcome == "adopted":
        # Another engine began it at this moment and gave it up: whoever wants its end resumes it.
        ledger.journal.release(run_id, engine_id)
    elif begun.outcome == "started":
        if notes:
            runs.closing.note(run.run_id)
        grants, limits, on_deny = parent.grants, parent.limits, parent.on_deny
        root = RootState(begun.header, parent.program, nonce, grants, parent.base_dir, limits, on_deny)
        runs.start_root(root, args, modules)
        runs.root_taken_up(run_id)
    return ""


def _id_from(run_id: str, number: int) -> str:
    plain = f"{run_id}-{number}".replace(".", "-")
    if len(plain) <= _MAX_ID:
        return plain
    return f"{plain[: _MAX_ID - 17]}-{hashlib.sha256(plain.encode()).hexdigest()[:16]}"
