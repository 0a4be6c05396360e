"""``options(f, detach = True)``: a flow that becomes a root run of its own."""

from __future__ import annotations

import hashlib
import os

import msgpack

from flowmetal.engine.attempts import packed_policy, with_deadline
from flowmetal.engine.recovery import take_up
from flowmetal.engine.runs import Runs
from flowmetal.engine.scheduler import Scheduler
from flowmetal.engine.starting import started_fields
from flowmetal.engine.table import HotRun, OpenAction, RootState
from flowmetal.journal import events
from flowmetal.journal.headers import Header
from flowmetal.policy import policy_items
from flowmetal.values import Failure, err, ok, pack

_MAX_ID = 100


def start_detached(runs: Runs, scheduler: Scheduler, run: HotRun, action: OpenAction, args: bytes) -> None:
    """Starts the run, unless it has been; the task's Result is Ok with the run's id."""
    settings = policy_items(msgpack.unpackb(action.args)[2])
    run_id = settings.get("id") or _id_from(run.run_id, action.number)
    if not runs.ledger.commit():
        return
    digest = hashlib.sha256(args).hexdigest()
    existing = runs.ledger.journal.header(run_id)
    if existing is not None and (existing.flow, existing.args_digest) != (action.target, digest):
        failure = Failure(
            "failed",
            f"the run {run_id} exists with another flow or other arguments",
            flow=action.name,
            source=action.line,
        )
        runs.deliver(run.run_id, action.number, pack(err(failure)))
        return
    if existing is None:
        _begin(runs, scheduler, run, action, args, run_id, digest)
    runs.deliver(run.run_id, action.number, pack(ok(run_id)))


def _begin(
    runs: Runs, scheduler: Scheduler, run: HotRun, action: OpenAction, args: bytes, run_id: str, digest: str
) -> None:
    ledger = runs.ledger
    parent = run.root
    fields = started_fields(ledger.journal, parent.header.run_id)
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
    )
    header = Header(
        run_id=run_id,
        flow=action.target,
        name=action.name,
        root=run_id,
        created_ms=ledger.now_ms,
        owner=parent.header.owner,
        program=parent.header.program,
        main=parent.header.main,
        labels=dict(fields["labels"]),
        args_digest=digest,
        grants_digest=parent.grants.digest(),
        policy=packed_policy(msgpack.unpackb(action.args)[2]),
    )
    header = with_deadline(header, ledger.now_ms)
    kept = ledger.field(run_id, args)
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
    ledger.append(run_id.encode(), started)
    ledger.put_header(header)
    if ledger.commit():
        root = RootState(header, parent.program, nonce, parent.grants, parent.base_dir, parent.limits, parent.on_deny)
        take_up(runs, scheduler, root)
        runs.root_taken_up(run_id)


def _id_from(run_id: str, number: int) -> str:
    plain = f"{run_id}-{number}".replace(".", "-")
    if len(plain) <= _MAX_ID:
        return plain
    return f"{plain[: _MAX_ID - 17]}-{hashlib.sha256(plain.encode()).hexdigest()[:16]}"
