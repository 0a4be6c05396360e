"""Flows that are tried again: a run that ended in Err begins a new attempt, with a history of its own.

The run keeps its id and goes on counting its actions, so that every child and every idempotency key of every attempt
has a name of its own; the event ``attempt`` with number 0 parts the histories.  A new attempt replays only what follows
that event, and takes over what earlier ones have done (``earlier.py``).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgpack

from flowmetal.engine.earlier import NO_END, Source
from flowmetal.engine.ledger import Ledger
from flowmetal.engine.table import RootState, Start
from flowmetal.engine.timers import DEADLINE, Timers
from flowmetal.journal import events
from flowmetal.journal.headers import Header
from flowmetal.policy import PLAIN, Policy, is_kept, policy_items, read_policy
from flowmetal.values import Failure, Wire, pack

RETRY: Final = -1
"""The number under which the beginning of a run's next attempt is kept among the timers."""

_MAX_REASON: Final = 300


def policy_of(header: Header) -> Policy:
    """How a run is tried again."""
    return read_policy(msgpack.unpackb(header.policy)) if header.policy else PLAIN


def continue_every(header: Header) -> int:
    """After how many actions of a life a safe point begins the next, 0 for never."""
    return (policy_items(msgpack.unpackb(header.policy)).get("continue_every") or 0) if header.policy else 0


def has_earlier(header: Header) -> bool:
    """Whether there is something that a run may take over."""
    return header.attempt > 1 or bool(header.rerun_of and header.life == 1)


def sources_of(header: Header) -> list[Source]:
    """What a run takes over from: the run that it is a rerun of, then its own earlier attempts."""
    sources = [Source(header.rerun_of, header.rerun_upto or NO_END)] if header.rerun_of and header.life == 1 else []
    return [*sources, Source(header.run_id, header.attempt_seq)] if header.attempt > 1 else sources


def packed_policy(settings: Wire) -> bytes:
    """What a header keeps of a start's settings: nothing if the run needs none of them."""
    return pack(settings) if is_kept(settings) else b""


def with_deadline(header: Header, now_ms: int) -> Header:
    """The header of a run whose attempt begins now: by when it must have ended."""
    policy = policy_of(header)
    ends = [header.ends_by_ms]
    if policy.timeout_seconds is not None:
        ends.append(now_ms + int(policy.timeout_seconds * 1_000))
    if policy.schedule_timeout_seconds is not None:
        ends.append(header.created_ms + int(policy.schedule_timeout_seconds * 1_000))
    known = [end for end in ends if end is not None]
    return replace(header, deadline_ms=min(known)) if known else header


class Attempts:
    """Plans and begins further attempts.

    Args:
        ledger: where they are written.
        timers: when they begin.
        enqueue: makes a run ready to be given to a worker.
    """

    def __init__(self, ledger: Ledger, timers: Timers, enqueue: Callable[[Start], None]) -> None:
        self._ledger = ledger
        self._timers = timers
        self._enqueue = enqueue

    def arm(self, header: Header) -> None:
        """Sets the timer of a run's deadline, if it has one."""
        if header.deadline_ms is not None:
            self._timers.at(header.run_id, DEADLINE, header.deadline_ms / 1_000)

    def plan(self, header: Header, failure: Failure) -> tuple[Header, str, float] | None:
        """After an Err: the header of a run that waits for its next attempt, why, and in how many seconds.

        None when there is none: then the run has ended.
        """
        policy, now_ms = policy_of(header), self._ledger.now_ms
        if not policy.may_retry(failure, header.attempt) or not self._ledger.commit():
            return None
        delay_seconds = policy.delay_seconds(header.attempt, random.random())
        due_ms = now_ms + int(delay_seconds * 1_000)
        if header.ends_by_ms is not None and due_ms >= header.ends_by_ms:
            return None
        if (
            policy.schedule_timeout_seconds is not None
            and due_ms >= header.created_ms + policy.schedule_timeout_seconds * 1_000
        ):
            return None
        base = max(header.attempt_base, self._ledger.journal.last_number(header.run_id))
        reason = f"{failure.kind}: {failure.message}"[:_MAX_REASON]
        # Nothing else is kept of a failure that is followed by another attempt.
        reason += f"  [{failure.source}]" if failure.source else ""
        sequence = self._ledger.append(
            header.run_id.encode(), events.attempt(now_ms, 0, header.attempt + 1, reason=reason, due_ms=due_ms)
        )
        waiting = replace(
            header,
            status="waiting",
            attempt=header.attempt + 1,
            attempt_seq=sequence,
            attempt_base=base,
            wake_at_ms=due_ms,
            wake_action=RETRY,
            deadline_ms=None,
            deaths=0,
            deferred=0,
            result=None,
        )
        self._ledger.put_header(waiting)
        return waiting, reason, delay_seconds

    def wait(self, header: Header) -> None:
        """Sets the timer of a run that waits for its next attempt."""
        left = max(0.0, ((header.wake_at_ms or 0) - self._ledger.now_ms) / 1_000)
        # A clock that was set back must not make a pause longer than any can be.
        policy = policy_of(header)
        self._timers.after(header.run_id, RETRY, min(left, policy.max_retry_delay_seconds * (1 + policy.jitter)))

    def begin(self, header: Header, root: RootState) -> Header:
        """Begins the attempt that a run waited for."""
        begun = with_deadline(replace(header, status="running", wake_at_ms=None, wake_action=None), self._ledger.now_ms)
        self._ledger.put_header(begun)
        self.arm(begun)
        self._enqueue(Start(begun.run_id, root))
        return begun
