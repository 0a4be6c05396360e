"""Runs whose flow has ended while something is still done for them: cleanups after a cancel, the handler of a failure.

The text of such a run is not evaluated any more, so nothing of it is unwound and nothing can race with it.  What it has
left is read from its history: the cleanups that it has registered and neither run nor released, the last one first.
Each is begun as an action of the run, with the next number, and is a child like any other; when the last has ended, the
run is finished with what its header has kept.  A kill changes nothing: the header says that the run is ending, the
history says what is done, and the rest is begun by whoever takes the run up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import msgpack

from flowmetal.engine.attempts import policy_of
from flowmetal.engine.leftovers import Ending, Leftover, handler_of, modules_of, read, with_failures
from flowmetal.engine.runs import Runs
from flowmetal.engine.table import OpenAction
from flowmetal.identity import child_id
from flowmetal.journal.headers import Header
from flowmetal.journal.keys import root_of
from flowmetal.values import is_ok_packed, pack

HANDLING: Final = "failed"
"""What a header's ``ending`` is while a failure is handled; while cleanups run it is the status that is to come."""


class Endings:
    """Ends runs that have something left to do.

    Args:
        runs: all runs of the engine.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._ledger = runs.ledger

    # -- beginning -------------------------------------------------------------------------------------

    def begin(
        self,
        header: Header,
        value: bytes,
        ending: str,
        *,
        waits_for: set[str],
        deadline_ms: int | None = None,
        effects: Sequence[asyncio.Future[Any]] = (),
    ) -> None:
        """A run will end with ``value`` once the runs ``waits_for`` below it have ended and all that it left is done.

        What was appended to its history must be committed.  Nothing is begun before the ``effects`` have ended, which
        were cut off.
        """
        self._runs.once.end(header.run_id)
        self._runs.parallel.end(header.run_id)
        marked = replace(
            header,
            status="running",
            ending=ending,
            result=self._ledger.field(header.run_id, value),
            wake_at_ms=None,
            wake_action=None,
            deadline_ms=deadline_ms,
        )
        self._put(marked)
        if deadline_ms is not None:
            self._runs.arm(marked)
        self._know(marked, value, waits_for)
        known = self._runs.endings[marked.run_id]
        known.busy = len(effects)
        for effect in effects:
            effect.add_done_callback(lambda _: self._effect_ended(known))
        self._advance(marked.run_id)

    def take_up(self, header: Header) -> None:
        """Goes on with a run that an engine before this one has left so; ``advance_all`` must follow."""
        value = b"" if header.result is None else self._ledger.journal.payload(header.run_id, header.result)
        below = {each.run_id for each in self._below(header.run_id)}
        self._know(header, value, below)

    def advance_all(self, root_id: str) -> None:
        """Goes on with all runs of a tree that have been taken up and wait for nothing."""
        for run_id in [each for each in self._runs.endings if root_of(each) == root_id]:
            if run_id in self._runs.endings:
                self._advance(run_id)

    def redirect(self, header: Header, value: bytes) -> None:
        """A run whose cleanups are under way will end as cancelled, with ``value``, and not be tried again."""
        ending = self._runs.endings[header.run_id]
        kept = self._ledger.field(header.run_id, value)
        ending.header = replace(ending.header, ending="cancelled", result=kept)
        ending.value = value
        self._put(ending.header)

    def handle_failure(self, header: Header, value: bytes) -> bool:
        """Starts the handler of a run that ended in Err for good; False if it has none.

        The deadline of a root holds for it too.  Where it is over, a handler has as long as cleanups have.
        """
        handler = policy_of(header).on_failure
        is_cleanup = header.ends_by_ms is not None and not header.is_root
        if handler is None or is_cleanup or not self._ledger.commit():
            return False
        deadline_ms, now_ms = header.ends_by_ms, self._ledger.now_ms
        if deadline_ms is not None and deadline_ms <= now_ms:
            deadline_ms = now_ms + int(self._runs.roots[header.run_id].limits.cleanup_seconds * 1_000)
        self._runs.forget(header.run_id)
        self.begin(header, value, HANDLING, waits_for=set(), deadline_ms=deadline_ms)
        return True

    def _below(self, run_id: str) -> Iterable[Header]:
        return (
            each for each in self._ledger.journal.descendants(run_id) if each.parent == run_id and not each.is_finished
        )

    def _know(self, header: Header, value: bytes, waits_for: set[str]) -> None:
        journal, run_id = self._ledger.journal, header.run_id
        told = read(journal, header)
        root = self._runs.roots[root_of(run_id)]
        left, failures = list(told.left.values()), told.failures
        if header.ending == HANDLING:
            left, failures = ([], failures) if told.handled else ([handler_of(header, value)], [])
        last_number = max(told.last_number, header.attempt_base)
        self._runs.endings[run_id] = Ending(
            header,
            root,
            modules_of(journal, run_id),
            value,
            last_number,
            waits_for,
            left,
            told.under_way,
            failures,
        )

    def _put(self, header: Header) -> None:
        self._ledger.put_header(header)
        if header.is_root and header.run_id in self._runs.roots:
            self._runs.roots[header.run_id].header = header

    # -- going on --------------------------------------------------------------------------------------

    def child_ended(self, parent_id: str, number: int, value: bytes) -> None:
        """The child that action ``number`` of a run began has ended with ``value``: the run may have waited for it."""
        ending = self._runs.endings.get(parent_id)
        if ending is None:
            return
        if number == ending.under_way and not is_ok_packed(value):
            ending.failures.append(msgpack.unpackb(value)["result"][2])
        ending.waits_for.discard(child_id(parent_id, number))
        self._advance(parent_id)

    def _effect_ended(self, ending: Ending) -> None:
        ending.busy -= 1
        if self._runs.endings.get(ending.run_id) is ending and not self._ledger.failed:
            self._ledger.tick()
            self._advance(ending.run_id)
            # What this has begun is let go at the end of a turn.
            self._ledger.when_durable(lambda: None)

    def _advance(self, run_id: str) -> None:
        ending = self._runs.endings[run_id]
        if ending.waits_for or ending.busy:
            return
        if ending.left:
            self._start(ending, ending.left.pop())
        else:
            self._finish(ending)

    def _start(self, ending: Ending, left: Leftover) -> None:
        run_id, now_ms = ending.run_id, self._ledger.now_ms
        ending.last_number += 1
        number = ending.last_number
        modules = list(left.modules)
        self._ledger.action(
            run_id, run_id.encode(), number, left.callee, left.args, left.line, name=left.name, modules=modules
        )
        self._runs.tell(lambda observer: observer.acted(run_id, number, left.callee, left.name))
        verb, _, target = left.callee.partition(" ")
        action = OpenAction(number, verb, target, left.args, left.line, left.name, modules=left.modules, at_ms=now_ms)
        call = msgpack.unpackb(left.args)
        ends_by_ms = None if left.grace_ms is None else now_ms + left.grace_ms
        ending.under_way = number
        ending.waits_for.add(child_id(run_id, number))
        self._runs.start_child(ending, action, pack(call[:2]), call[2], ends_by_ms=ends_by_ms)

    def _finish(self, ending: Ending) -> None:
        header, value = ending.header, ending.value
        is_handled = header.ending == HANDLING
        if ending.failures:
            value = with_failures(value, "on_failure" if is_handled else "cleanup", ending.failures)
        status = "cancelled" if header.ending == "cancelled" else "err"
        del self._runs.endings[ending.run_id]
        header = replace(header, ending=HANDLING if is_handled else "", deferred=0, deadline_ms=None)
        self._runs.finish(header, value, status=status)
