"""Taking up a root run with all its descendants: timers are set again, the rest is made ready to be replayed."""

from __future__ import annotations

from dataclasses import replace

from flowmetal.engine.attempts import RETRY
from flowmetal.engine.ledger import Ledger
from flowmetal.engine.runs import Runs
from flowmetal.engine.scheduler import Scheduler
from flowmetal.engine.table import RootState, Start
from flowmetal.engine.timers import DEADLINE
from flowmetal.journal import events
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal


def take_up(runs: Runs, scheduler: Scheduler, root: RootState) -> None:
    """Goes through a root's tree.  A run that only sleeps stays cold; every other unfinished one is woken."""
    journal = runs.ledger.journal
    run_id = root.header.run_id
    runs.roots[run_id] = root
    runs.ledger.writer.raise_sequence(journal.tree_last_sequence(run_id))
    runs.ledger.writer.written[run_id.encode()] = journal.tree_bytes(run_id)
    runs.once.take_up(run_id)
    runs.closing.take_up(run_id)
    header = root.header = _unpaused(runs.ledger, root.header)
    _take_up_one(runs, scheduler, root, header)
    for each in journal.descendants(header.run_id):
        if not each.is_finished:
            _take_up_one(runs, scheduler, root, each)
    runs.endings_taken_up(header.run_id)


def _unpaused(ledger: Ledger, header: Header) -> Header:
    if header.paused_ms is not None:
        event = events.paused(ledger.now_ms, header.paused_ms, header.pause_reason)
        ledger.append(header.run_id.encode(), event)
    elif header.status != "paused":
        return header
    status = header.status if header.status != "paused" else "waiting" if header.wake_action == RETRY else "running"
    header = replace(header, status=status, paused_ms=None, pause_reason="")
    ledger.put_header(header)
    return header


def _take_up_one(runs: Runs, scheduler: Scheduler, root: RootState, header: Header) -> None:
    runs.parallel.take_up(header)
    if header.deadline_ms is not None:
        runs.timers.at(header.run_id, DEADLINE, header.deadline_ms / 1_000)
    if header.ending:
        runs.take_up_ending(header)
        return
    if header.wake_action == RETRY:
        runs.take_up_waiting(header)
        return
    if header.status != "waiting" or header.wake_at_ms is None or header.wake_action is None:
        scheduler.enqueue(Start(header.run_id, root))
        return
    verb, slept_ms = _sleep_of(runs.ledger.journal, header)
    if verb == "sleep_until":
        runs.timers.at(header.run_id, header.wake_action, header.wake_at_ms / 1_000)
        return
    # A clock that was set back must not make a sleep longer than it was.
    remaining_ms = min(header.wake_at_ms - runs.ledger.now_ms, slept_ms)
    runs.timers.after(header.run_id, header.wake_action, max(0.0, remaining_ms / 1_000))


def _sleep_of(journal: Journal, header: Header) -> tuple[str, int]:
    """The verb of the action a run sleeps in, and its whole length in milliseconds."""
    event = journal.last_action(header.run_id)
    due_ms = None if event is None else event.fields.get("due_ms")
    if event is None or due_ms is None:
        return "sleep", 0
    return str(event.fields["callee"]), due_ms - event.at_ms
