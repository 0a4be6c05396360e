"""Cancelling: a run is ended with all below it.

All that is evaluated or performed for them is cut off at once, and what has nothing left to do is finished at once, the
innermost first.  A run that has cleanups left, or waits for one below it, is *ending* (``endings.py``): it is finished
when they are done, or their time is up, or someone asks for its end once more.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from flowmetal.engine.endings import HANDLING, Endings
from flowmetal.engine.leftovers import read
from flowmetal.engine.runs import RECEIVE, Runs
from flowmetal.engine.table import HotRun, Start
from flowmetal.identity import child_id
from flowmetal.journal import events
from flowmetal.journal.headers import Header
from flowmetal.journal.keys import root_of, sort_key
from flowmetal.values import Failure, err, pack

_NEVER_MS: Final = 2**53


class Cancelling:
    """Ends runs and tasks.

    Args:
        runs: all runs of the engine.
        endings: sees to those that have something left to do.
    """

    def __init__(self, runs: Runs, endings: Endings) -> None:
        self._runs = runs
        self._endings = endings
        self._ledger = runs.ledger

    def cancel_task(self, run: HotRun, number: int) -> None:
        """Ends what a task stands for; nothing happens if it has a result."""
        action = run.open.get(number)
        if action is None:
            return
        child = child_id(run.run_id, number)
        is_waiting = self._runs.once.withdraw(run.run_id, number)
        may_have_begun = action.is_started or (
            action.is_reopened and not is_waiting and all(each in run.task_results for each in action.deps)
        )
        if action.verb in ("do", "start"):
            # One that waits for a message has done nothing.
            started = may_have_begun and not action.missing and action.target != RECEIVE
            if not started:
                self._runs.once.let_go(run.run_id, number)
            self._runs.abandon(run.run_id, number)
            details = {"dict": ["may_have_run", True]} if started else None
            failure = Failure(
                "cancelled", f"{action.name} was cancelled", details, flow=action.name, source=action.line
            )
            self._runs.deliver(run.run_id, number, pack(err(failure)))
        elif not action.is_started and not (may_have_begun and self.has_begun(child)):
            self._runs.once.let_go(run.run_id, number)
            failure = Failure(
                "cancelled", f"{action.name} was cancelled before it started", flow=action.name, source=action.line
            )
            self._runs.deliver(run.run_id, number, pack(err(failure)))
        else:
            self.cancel_tree(child, "its caller cancelled it", source=action.line)

    def has_begun(self, run_id: str) -> bool:
        """Whether a run is in the journal."""
        return self._ledger.commit() and self._ledger.journal.header(run_id) is not None

    def cancel_open(self, run: HotRun, but: int) -> None:
        """Ends everything that a run has started and that has no result.

        The last first: what waits for a place must not get that of another which is ended.
        """
        for number in reversed(list(run.open)):
            if number != but:
                self.cancel_task(run, number)

    def cancel_tree(
        self, run_id: str, reason: str, *, kind: str = "cancelled", source: str = "", at_once: bool = False
    ) -> None:
        """Ends a run with all its descendants: no flow text has a say in it; ``source`` is the line that asked.

        The cleanups that they have registered are run first, the innermost first, unless it is to be ``at_once``.
        """
        if not self._ledger.commit():
            return
        header = self._ledger.journal.header(run_id)
        if header is None or header.is_finished:
            return
        failure = Failure(kind, f"{header.name} was ended: {reason}", flow=header.name, source=source)
        self.end_tree(header, failure, reason, at_once=at_once)

    def ask_for_end(self, run_id: str, reason: str, *, at_once: bool = False) -> None:
        """Someone asks for the end of a run; who asks again, while it cleans up, wants it at once."""
        header = self._ledger.journal.header(run_id) if self._ledger.commit() else None
        self.cancel_tree(run_id, reason, at_once=at_once or (header is not None and header.ending != ""))

    def time_is_up(self, run_id: str) -> None:
        """The deadline of a run has come.  The time of a cleanup, or that of all cleanups, is not prolonged by more."""
        header = self._ledger.journal.header(run_id) if self._ledger.commit() else None
        if header is None or header.is_finished:
            return
        is_cleanup = header.ends_by_ms is not None and not header.is_root
        at_once = bool(header.ending) or (is_cleanup and (header.ends_by_ms or 0) <= self._ledger.now_ms)
        self.cancel_tree(run_id, "its time is up", kind="timeout", at_once=at_once)

    def end_tree(self, header: Header, failure: Failure, reason: str, *, at_once: bool = False) -> None:
        """Ends an unfinished run with ``failure``, and all runs below it; all of them must be committed."""
        tree = [each for each in self._ledger.journal.descendants(header.run_id) if not each.is_finished]
        tree.sort(key=lambda each: sort_key(each.run_id), reverse=True)
        tree.append(header)
        spared = set() if at_once else self._spare(tree)
        hot = self._runs.hot.get(header.run_id)
        ended = [each for each in tree if each.run_id not in spared]
        effects: list[asyncio.Future[Any]] = []
        for each in ended:
            # Before the ends of others make room for what is not wanted any more.
            self._runs.once.give_back(each.run_id)
            self._runs.parallel.withdraw(each.run_id)
        for each in ended:
            effects += self._runs.abandon(each.run_id, None)
            run = self._runs.forget(each.run_id)
            if run is not None:
                run.worker.send(["drop", run.run_id, run.incarnation])
        if hot is not None and hot.is_inline and ended:
            self._begin_callers_anew(hot)
        waited_for: dict[str, set[str]] = {}
        for each in tree:
            why = failure
            if each.run_id != header.run_id:
                message = f"{each.name} was ended: {header.name} was ended"
                why = Failure("cancelled", message, flow=each.name, source=failure.source)
            if each.run_id in spared:
                self._redirect(each, why)
            else:
                waits_for = waited_for.pop(each.run_id, set())
                if not at_once and (waits_for or each.deferred):
                    self._begin_to_end(each, why, reason, waits_for, effects, each is header)
                else:
                    self._end(each, why, reason)
            if each.run_id in spared or each.run_id in self._runs.endings:
                waited_for.setdefault(each.parent, set()).add(each.run_id)

    def _spare(self, tree: list[Header]) -> set[str]:
        """The runs of a tree that are not ended now: those that clean up already, and cleanups that are under way.

        These get the time that a cleanup has after a cancel.
        """
        tops = {each.run_id for each in tree if each.ending}
        below = {each.run_id: each for each in tree}
        for each in tree:
            if not each.deferred or each.ending:
                continue
            told = read(self._ledger.journal, each)
            child = below.get(child_id(each.run_id, told.under_way)) if told.under_way else None
            if child is not None:
                tops.add(child.run_id)
                self._bound(child, told.grace_ms or 0)
        return {each.run_id for each in tree if any(line in tops for line in _line_of(each.run_id))} if tops else set()

    def _bound(self, header: Header, grace_ms: int) -> None:
        ends_by_ms = min(self._ledger.now_ms + grace_ms, header.ends_by_ms or _NEVER_MS)
        run = self._runs.hot.get(header.run_id)
        header = run.header if run is not None else header
        deadline_ms = min(ends_by_ms, header.deadline_ms or _NEVER_MS)
        header = replace(header, ends_by_ms=ends_by_ms, deadline_ms=deadline_ms)
        if run is not None:
            run.header = header
        self._ledger.put_header(header)
        self._runs.arm(header)

    def _redirect(self, header: Header, failure: Failure) -> None:
        """What is ending already goes on so, but is not tried again after that."""
        if header.ending == "err" and header.run_id in self._runs.endings:
            self._endings.redirect(header, pack(err(failure)))

    def _begin_to_end(
        self,
        header: Header,
        failure: Failure,
        reason: str,
        waits_for: set[str],
        effects: list[asyncio.Future[Any]],
        is_target: bool,
    ) -> None:
        run_id, now_ms = header.run_id, self._ledger.now_ms
        self._ledger.append(run_id.encode(), events.cancel_requested(now_ms, reason))
        most_ms = int(self._runs.roots[root_of(run_id)].limits.cleanup_seconds * 1_000)
        self._endings.begin(
            header,
            pack(err(failure)),
            _status(failure),
            waits_for=waits_for,
            deadline_ms=now_ms + most_ms if is_target else None,
            effects=effects,
        )

    def _end(self, header: Header, failure: Failure, reason: str) -> None:
        run_id, ending = header.run_id, ""
        value, status = pack(err(failure)), _status(failure)
        if header.ending and (failure.kind != "cancelled" or header.ending == HANDLING):
            # It had ended otherwise before; what it did after that has no more time.
            value = b"" if header.result is None else self._ledger.journal.payload(run_id, header.result)
            status = "cancelled" if header.ending == "cancelled" else "err"
            ending = HANDLING if header.ending == HANDLING else ""
        if failure.kind != "crashed":
            self._ledger.append(run_id.encode(), events.cancel_requested(self._ledger.now_ms, reason))
        self._runs.finish(replace(header, ending=ending, deferred=0), value, status=status)

    def drop(self, run: HotRun) -> None:
        """Takes a hot run from its worker, which is told."""
        self._runs.forget(run.run_id)
        run.worker.send(["drop", run.run_id, run.incarnation])
        if run.is_inline:
            self._begin_callers_anew(run)

    def _begin_callers_anew(self, run: HotRun) -> None:
        """Takes the callers of an inline child off its thread: the worker may have given them a Result of its own."""
        while (caller := self._runs.hot.get(run.header.parent)) is not None and caller.inline_child == run.run_id:
            self._runs.hot.pop(caller.run_id)
            caller.root.program.hot.pop(caller.run_id, None)
            caller.worker.send(["drop", caller.run_id, caller.incarnation])
            self._runs.enqueue(Start(caller.run_id, caller.root))
            run = caller


def _status(failure: Failure) -> str:
    return "cancelled" if failure.kind == "cancelled" else "err"


def _line_of(run_id: str) -> list[str]:
    """A run and all that it is part of."""
    parts = run_id.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
