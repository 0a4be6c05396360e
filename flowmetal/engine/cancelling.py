"""Cancelling: a run is ended with all below it."""

from __future__ import annotations

from flowmetal.engine.runs import Runs
from flowmetal.engine.table import HotRun, Start
from flowmetal.identity import child_id
from flowmetal.journal import events
from flowmetal.journal.headers import Header
from flowmetal.journal.keys import sort_key
from flowmetal.values import Failure, err, pack


class Cancelling:
    """Ends runs and tasks.

    Args:
        runs: all runs of the engine.
    """

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
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
            started = may_have_begun and not action.missing
            self._runs.abandon(run.run_id, number)
            details = {"dict": ["may_have_run", True]} if started else None
            failure = Failure(
                "cancelled", f"{action.name} was cancelled", details, flow=action.name, source=action.line
            )
            self._runs.deliver(run.run_id, number, pack(err(failure)))
        elif not action.is_started and not (may_have_begun and self.has_begun(child)):
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
        """Ends everything that a run has started and that has no result."""
        for number in list(run.open):
            if number != but:
                self.cancel_task(run, number)

    def end_descendants(self, run_id: str, reason: str) -> None:
        """Ends all runs below a run."""
        if self._ledger.commit():
            for each in list(self._ledger.journal.descendants(run_id)):
                if each.parent == run_id and not each.is_finished:
                    self.cancel_tree(each.run_id, reason)

    def cancel_tree(self, run_id: str, reason: str, *, kind: str = "cancelled", source: str = "") -> None:
        """Ends a run with all its descendants, now: no flow text has a say in it; ``source`` is the line that asked."""
        if not self._ledger.commit():
            return
        header = self._ledger.journal.header(run_id)
        if header is None or header.is_finished:
            return
        tree = [each for each in self._ledger.journal.descendants(run_id) if not each.is_finished]
        tree.sort(key=lambda each: sort_key(each.run_id), reverse=True)
        hot = self._runs.hot.get(run_id)
        for each in [*tree, header]:
            self._runs.abandon(each.run_id, None)
            run = self._runs.forget(each.run_id)
            if run is not None:
                run.worker.send(["drop", run.run_id, run.incarnation])
        if hot is not None and hot.is_inline:
            self._begin_callers_anew(hot)
        for each in [*tree, header]:
            why = reason if each.run_id == run_id else f"{header.name} was ended"
            self._cancel_one(each, why, kind if each.run_id == run_id else "cancelled", source)

    def _begin_callers_anew(self, run: HotRun) -> None:
        """Takes the callers of an inline child off its thread: the worker may have given them a Result of its own."""
        while (caller := self._runs.hot.get(run.header.parent)) is not None and caller.inline_child == run.run_id:
            self._runs.hot.pop(caller.run_id)
            caller.root.program.hot.pop(caller.run_id, None)
            caller.worker.send(["drop", caller.run_id, caller.incarnation])
            self._runs.enqueue(Start(caller.run_id, caller.root))
            run = caller

    def _cancel_one(self, header: Header, reason: str, kind: str, source: str) -> None:
        run_id = header.run_id
        self._ledger.append(run_id.encode(), events.cancel_requested(self._ledger.now_ms, reason))
        failure = Failure(kind, f"{header.name} was ended: {reason}", flow=header.name, source=source)
        status = "cancelled" if kind == "cancelled" else "err"
        self._runs.finish(header, pack(err(failure)), status=status)
