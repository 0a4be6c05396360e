"""The heart of the engine: actions come in, results go out, runs begin and end.

A result travels one way.  Whatever produced it — an effect, a child's end, a timer, a wait that is answered, a cancel
— calls ``deliver``, which appends it to the history of the run that asked, then shows it to that run's worker if it
is hot, or to its ``ColdWait`` if it is not, and at last to the actions of the same run that depend on it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import msgpack

from flowmetal.engine.attempts import RETRY, Attempts, has_earlier, packed_policy, sources_of, with_deadline
from flowmetal.engine.closing import Closing
from flowmetal.engine.earlier import History, still_fits, what_of
from flowmetal.engine.ledger import Ledger
from flowmetal.engine.leftovers import Ending
from flowmetal.engine.once import Once
from flowmetal.engine.parallel import Parallel
from flowmetal.engine.table import CLEANUP_VERBS, Caller, ColdWait, Fresh, HotRun, OpenAction, RootState, Start
from flowmetal.engine.timers import Timers
from flowmetal.engine.waits import Waits
from flowmetal.errors import ValueCodecError
from flowmetal.identity import child_id
from flowmetal.journal import events
from flowmetal.journal.headers import Header
from flowmetal.journal.keys import root_of
from flowmetal.policy import policy_items
from flowmetal.values import Failure, Wire, err, failure_of, is_ok_packed, ok, pack, substitute_tasks

OK_NONE: Final = pack(ok())
RECEIVE: Final = "receive"
_MAX_CAUSES: Final = 16
_MOST_FRESH: Final = 1_000
"""Runs that wait for a worker with all they need in memory; further ones are read from the journal in their turn."""


class Observer(Protocol):
    """Someone who watches runs; told only what is durable."""

    def started(self, run_id: str, name: str, parent: str, number: int) -> None:
        """A run began."""
        ...

    def acted(self, run_id: str, number: int, callee: str, name: str) -> None:
        """A run asked for something that takes time."""
        ...

    def ended(self, run_id: str, number: int, is_ok: bool) -> None:
        """What action ``number`` asked for has a result; number 0 is the run itself."""
        ...

    def logged(self, run_id: str, text: str, level: str, fields: bytes | None) -> None:
        """A run wrote a log line; ``fields`` are its encoded dict."""
        ...

    def retrying(self, run_id: str, number: int, attempt: int, reason: str, delay_seconds: float) -> None:
        """Attempt ``attempt`` at an action, or with number 0 at the run itself, follows in ``delay_seconds``."""
        ...

    def asked(self, run_id: str, number: int, reason: str, text: str) -> None:
        """An action waits for a person; ``reason`` is input, grant or interrupted, ``text`` the question."""
        ...


class Runs:
    """All runs this engine owns.

    Args:
        ledger: where everything is written first.
        timers: fires what was put off.
        enqueue: makes a run ready to be given to a worker.
    """

    def __init__(self, ledger: Ledger, timers: Timers, enqueue: Callable[[Start], None]) -> None:
        self.ledger = ledger
        self.timers = timers
        self.roots: dict[str, RootState] = {}
        self.hot: dict[str, HotRun] = {}
        self.cold: dict[str, ColdWait] = {}
        self.waits = Waits(ledger, timers, self.deliver)
        self.parallel = Parallel(self._start_again)
        self.once = Once(ledger, self.deliver, self._start_again, self.parallel)
        # Their flow has ended, and something is still done for them.
        self.endings: dict[str, Ending] = {}
        # Begun and not given to a worker yet: the one kind of start whose header is not read from the journal.
        self.fresh: set[str] = set()
        # The sequences of unread messages by name, of runs that have received some; see ``messages.py``.
        self.unread: dict[str, dict[str, deque[int]]] = {}
        self.observer: Observer | None = None
        self.perform: Callable[[HotRun, OpenAction, list[Wire], list[Wire], Wire], None]
        self.abandon: Callable[[str, int | None], list[asyncio.Future[Any]]]
        self.closing: Closing
        self.start_detached: Callable[[HotRun, OpenAction, bytes], None]
        self.handle_failure: Callable[[Header, bytes], bool]
        self.child_ended: Callable[[str, int, bytes], None]
        self.take_up_ending: Callable[[Header], None]
        self.endings_taken_up: Callable[[str], None]
        self.finished: Callable[[Header, bytes], None]
        self.root_taken_up: Callable[[str], None]
        self.enqueue = enqueue
        self._attempts = Attempts(ledger, timers, enqueue)

    def tell(self, what: Callable[[Observer], None]) -> None:
        """Tells the observer, if there is one, as soon as everything appended so far is durable."""
        observer = self.observer
        if observer is not None:
            self.ledger.after_commit(lambda: what(observer))

    # -- starting what was asked for -------------------------------------------------------------------

    def open_action(self, run: HotRun, action: OpenAction) -> None:
        """Takes up a recorded action that starts a flow or an effect, now or when its dependencies are Ok."""
        run.open[action.number] = action
        if action.deps:
            action.missing = {number for number in action.deps if number not in run.task_results}
            for number in action.deps:
                if number in run.task_results and not is_ok_packed(run.task_results[number]):
                    self._upstream(run, action, number)
                    return
        if not action.missing:
            self._start(run, action)

    def _upstream(self, run: HotRun, action: OpenAction, number: int) -> None:
        cause = msgpack.unpackb(run.task_results[number])["result"][2]
        chain = Failure.from_wire(cause).chain()
        if len(chain) > _MAX_CAUSES:
            cause = chain[-1].to_wire()
        failure = Failure(
            "upstream", f"a task that {action.name} needs has failed", flow=action.name, source=action.line, cause=cause
        )
        try:
            packed = pack(err(failure))
        except ValueCodecError:
            packed = pack(err(replace(failure, cause=replace(chain[-1], details=None, cause=None).to_wire())))
        self.deliver(run.run_id, action.number, packed)

    def _start_again(self, run_id: str, number: int) -> None:
        """Starts what waited for its key, or for a place, if its run is hot; else when that has been replayed."""
        run = self.hot.get(run_id)
        if run is not None:
            if run.is_live and number in run.open:
                self._start(run, run.open[number])
        elif run_id in self.cold:
            self.wake(run_id, self.cold[run_id].root)

    def _start(self, run: HotRun, action: OpenAction) -> None:
        call: list[Any] = msgpack.unpackb(action.args)
        args, kwargs = call[0], call[1]
        if action.deps:
            values = {number: msgpack.unpackb(run.task_results[number])["result"][1] for number in action.deps}
            args, kwargs = substitute_tasks(args, values), substitute_tasks(kwargs, values)
        settings = call[2] if len(call) > 2 else None
        what = what_of(action.target, settings)
        is_cleanup = action.verb in CLEANUP_VERBS
        if not is_cleanup and has_earlier(run.header) and self._take_over(run, action, what, args, kwargs):
            return
        key = policy_items(settings).get("idempotency_key")
        if key is not None and not self.once.may_start(run, action, key, what, [args, kwargs]):
            return
        # What cleans up waits for no place, and has been counted with the flow that it is for.
        if what == RECEIVE:
            self.parallel.rest(run.run_id, action.number)
        elif not is_cleanup and not self.parallel.may_start(run.run_id, action.number):
            return
        action.is_started = True
        if action.verb in ("do", "start"):
            self.perform(run, action, args, kwargs, settings)
            return
        try:
            packed = pack([args, kwargs]) if action.deps or len(call) > 2 else action.args
        except ValueCodecError as error:
            failure = Failure(
                "limit", f"the arguments of {action.name}: {error.message}", flow=action.name, source=action.line
            )
            self.deliver(run.run_id, action.number, pack(err(failure)))
            return
        if policy_items(settings).get("parent_close"):
            self.start_detached(run, action, packed)
            return
        begun = ""
        if run.header.rerun_of and run.header.life == 1 and run.earlier is not None:
            # A child that was not Ok is done anew, but not all of what it did.
            begun = run.earlier.begun(action, what, args, kwargs)
        self.start_child(run, action, packed, settings, begun)

    def _take_over(self, run: HotRun, action: OpenAction, what: str, args: list[Wire], kwargs: list[Wire]) -> bool:
        """Takes a result from an earlier attempt, or from the run that this is a rerun of, if it is of the same."""
        if run.earlier is None:
            if not self.ledger.commit():
                return False
            header = run.header
            run.earlier = History(self.ledger.journal, run.run_id, header.attempt_seq, sources_of(header))
        taken = run.earlier.take(action, what, args, kwargs)
        if taken is None or not still_fits(run.root.program.flows.get(what), taken.value):
            return False
        self.deliver(run.run_id, action.number, taken.value, taken_from=taken.number)
        return True

    def start_root(self, root: RootState, args: bytes, modules: tuple[str, ...] = ()) -> None:
        """Makes a root run ready whose ``started`` has just been written."""
        header = root.header
        self.roots[header.run_id] = root
        self._attempts.arm(header)
        self.parallel.limit(header)
        self.tell(lambda observer: observer.started(header.run_id, header.name, "", 0))
        self.fresh.add(header.run_id)
        self.enqueue(Start(header.run_id, root, Fresh(header, args, "", modules)))

    def start_child(
        self,
        run: Caller,
        action: OpenAction,
        args: bytes,
        settings: Wire = None,
        rerun_of: str = "",
        ends_by_ms: int | None = None,
    ) -> None:
        """Begins a child run of its own, unless it has begun already in an earlier life of its parent.

        ``rerun_of`` is the run whose results it takes over; by ``ends_by_ms`` it must have ended.
        """
        run_id = child_id(run.run_id, action.number)
        if action.is_reopened and self.ledger.journal.header(run_id) is not None:
            return
        header = self.begin_child(run, action, args, self.ledger.now_ms, settings, rerun_of, ends_by_ms)
        self.arm(header)
        if len(self.fresh) < _MOST_FRESH:
            self.fresh.add(run_id)
            self.enqueue(Start(run_id, run.root, Fresh(header, args, action.line, _all_modules(run, action))))
        else:
            self.enqueue(Start(run_id, run.root))

    def arm(self, header: Header) -> None:
        """Sets the timer of a run's deadline, if it has one."""
        self._attempts.arm(header)

    def begin_child(
        self,
        run: Caller,
        action: OpenAction,
        args: bytes,
        started_ms: int,
        settings: Wire = None,
        rerun_of: str = "",
        ends_by_ms: int | None = None,
    ) -> Header:
        """Writes a child's ``started`` and its header."""
        number, flow, name = action.number, action.target, action.name
        run_id = child_id(run.run_id, number)
        header = Header(
            run_id=run_id,
            flow=flow,
            name=name,
            root=run.header.root,
            created_ms=started_ms,
            parent=run.run_id,
            program=run.header.program,
            main=run.header.main,
            policy=packed_policy(settings),
            rerun_of=rerun_of,
            rerun_upto=run.header.rerun_upto if rerun_of else 0,
            ends_by_ms=ends_by_ms,
        )
        if header.policy or ends_by_ms is not None:
            header = with_deadline(header, started_ms)
            self.parallel.limit(header)
        started = events.started(
            started_ms,
            flow,
            name,
            self.ledger.field(run_id, args),
            line=action.line,
            modules=_all_modules(run, action),
            policy=header.policy or None,
        )
        self.ledger.append(run_id.encode(), started)
        self.ledger.put_header(header)
        parent = run.run_id
        self.tell(lambda observer: observer.started(run_id, name, parent, number))
        return header

    # -- results ---------------------------------------------------------------------------------------

    def deliver(
        self,
        run_id: str,
        number: int,
        value: bytes,
        *,
        worker_knows: bool = False,
        by: Sequence[str] = (),
        taken_from: int = 0,
        read: int = 0,
        is_recorded: bool = False,
    ) -> None:
        """Appends the result of an action and shows it to whoever waits for it.

        ``value`` is an encoded Result.  ``worker_knows``: it comes from the worker that needs it.  ``by``: the grants
        that allowed it.  ``taken_from``: the action of an earlier attempt whose result it is.  ``read``: the sequence
        of the message that it is.  ``is_recorded``: it was appended already.
        """
        if not is_recorded:
            self.ledger.result(run_id, number, value, by=by, taken_from=taken_from, read=read)
        self.once.settle(run_id, number, value)
        self.tell(lambda observer: observer.ended(run_id, number, is_ok_packed(value)))
        self._show(run_id, number, value, worker_knows)
        self.parallel.leave(run_id, number)

    def _show(self, run_id: str, number: int, value: bytes | None, worker_knows: bool = False) -> None:
        run = self.hot.get(run_id)
        if run is not None and run.is_streaming:
            pass  # it is in the history that is being sent
        elif run is not None:
            action = run.open.pop(number, None)
            if action is not None and action.verb in ("run", "start") and value is not None:
                run.task_results[number] = value
            if run.inline_child == f"{run_id}.{number}":
                run.inline_child = ""
                run.answered = True
            if not worker_knows:
                run.worker.send(["result", run_id, run.incarnation, number, value])
                self._unpark(run, number)
        else:
            self._wake_if_last(run_id, number)
        self.waits.advance(run_id, number)
        if run is not None and number in run.task_results:
            self._start_dependents(run, number)

    def _unpark(self, run: HotRun, number: int) -> None:
        if run.parked is not None:
            # It waits for all of them, and only the last lets it go on; one that waits for room goes on with any.
            is_one_of_them = number in run.parked
            run.parked.discard(number)
            if not run.parked or (run.any_wakes and is_one_of_them):
                run.answered = True
                run.parked = None
                run.root.program.parked.pop(run.run_id, None)

    def _wake_if_last(self, run_id: str, number: int) -> None:
        cold = self.cold.get(run_id)
        if cold is None:
            return
        cold.missing.discard(number)
        if not cold.missing or number in cold.any_of:
            self.wake(run_id, cold.root)

    def wake(self, run_id: str, root: RootState) -> None:
        """Makes a cold run ready: it will be replayed."""
        self.cold.pop(run_id, None)
        if run_id not in self.hot:
            self.enqueue(Start(run_id, root))

    def _start_dependents(self, run: HotRun, number: int) -> None:
        waiting = [action for action in run.open.values() if number in action.missing]
        for action in waiting:
            if not is_ok_packed(run.task_results[number]):
                self._upstream(run, action, number)
                continue
            action.missing = action.missing - {number}
            if not action.missing:
                self._start(run, action)

    # -- timers ----------------------------------------------------------------------------------------

    def timer_fired(self, run_id: str, number: int) -> None:
        """A timer of a run came due: the end of a sleep, or of a wait's patience, or a pause before an attempt."""
        if number == RETRY:
            self.begin_attempt(run_id)
            return
        if self.waits.timer_fired(run_id, number):
            return
        self.ledger.append(run_id.encode(), events.timer_fired(self.ledger.now_ms, number))
        self.tell(lambda observer: observer.ended(run_id, number, True))
        run = self.hot.get(run_id)
        if run is not None:
            run.header = replace(run.header, wake_at_ms=None, wake_action=None, status="running")
            self.ledger.put_header(run.header)
            self._show(run_id, number, None)
            return
        root = self.roots.get(root_of(run_id))
        if root is not None:
            self.wake(run_id, root)

    # -- ends ------------------------------------------------------------------------------------------

    def finish(self, header: Header, value: bytes, *, status: str = "", worker_knows: bool = False) -> None:
        """Ends a run, unless it is tried again: its ``finished`` and its parent's ``result`` are in one batch."""
        run_id = header.run_id
        status = status or ("ok" if is_ok_packed(value) else "err")
        self.once.end(run_id)
        self.parallel.end(run_id)
        goes_on = status == "err" and header.policy and not header.ending
        if goes_on and (self._again(header, value) or self.handle_failure(header, value)):
            return
        kept = self.ledger.field(run_id, value)
        self.ledger.append(run_id.encode(), events.finished(self.ledger.now_ms, status, kept))
        header = replace(
            header,
            status=status,
            result=kept,
            finished_ms=self.ledger.now_ms,
            wake_at_ms=None,
            wake_action=None,
            owner=b"",
            ending="",
        )
        self.ledger.put_header(header)
        self.forget(run_id)
        self.parallel.forget(run_id)
        self.closing.end(run_id)
        self.tell(lambda observer: observer.ended(run_id, 0, status == "ok"))
        if header.parent:
            number = int(run_id.rpartition(".")[2])
            self.deliver(header.parent, number, value, worker_knows=worker_knows)
            self.child_ended(header.parent, number, value)
        else:
            self.roots.pop(run_id, None)
            self.ledger.writer.forget_written(run_id.encode())
            self.ledger.when_durable(lambda: self.finished(header, value))

    def _again(self, header: Header, value: bytes) -> bool:
        """Plans the next attempt at a run that ended in Err; False if there is none."""
        planned = self._attempts.plan(header, failure_of(msgpack.unpackb(value)))
        if planned is None:
            return False
        waiting, reason, delay_seconds = planned
        self.forget(header.run_id)
        if header.is_root:
            self.roots[header.run_id].header = waiting
        self._attempts.wait(waiting)
        self.tell(lambda observer: observer.retrying(header.run_id, 0, waiting.attempt, reason, delay_seconds))
        return True

    def begin_attempt(self, run_id: str) -> None:
        """Begins the attempt that a run has waited for."""
        root = self.roots.get(root_of(run_id))
        header = self.ledger.journal.header(run_id) if self.ledger.commit() else None
        if root is None or header is None or header.wake_action != RETRY:
            return
        begun = self._attempts.begin(header, root)
        if begun.is_root:
            root.header = begun

    def begin_life(self, header: Header, root: RootState) -> None:
        """Makes a run ready whose new life has just been written."""
        self.ledger.put_header(header)
        if header.is_root:
            root.header = header
        self._attempts.arm(header)
        self.enqueue(Start(header.run_id, root))

    def take_up_waiting(self, header: Header) -> None:
        """Goes on waiting for a run's next attempt."""
        self._attempts.wait(header)

    def is_unfinished(self, run_id: str) -> bool:
        """Whether a run may still be written to."""
        if run_id in self.hot or run_id in self.cold or run_id in self.fresh:
            return True
        header = self.ledger.journal.header(run_id) if self.ledger.commit() else None
        return header is not None and not header.is_finished

    def mark(self, run_id: str, status: str) -> None:
        """Notes in its header that a run waits for a person, or that it does so no more."""
        run = self.hot.get(run_id)
        header = run.header if run is not None else self.ledger.journal.header(run_id) if self.ledger.commit() else None
        if header is None or header.is_finished or header.status == status or header.wake_at_ms is not None:
            return
        header = replace(header, status=status)
        if run is not None:
            run.header = header
        if header.is_root and run_id in self.roots:
            self.roots[run_id].header = header
        self.ledger.put_header(header)

    def is_settled(self, run_id: str) -> bool:
        """Whether all that is recorded of a run has been taken up: what it waits for is known."""
        run = self.hot.get(run_id)
        return (
            (run is not None and run.is_live)
            or run_id in self.cold
            or run_id in self.endings
            or not self.is_unfinished(run_id)
        )

    def forget(self, run_id: str) -> HotRun | None:
        """Drops what is in memory of a run."""
        run = self.hot.pop(run_id, None)
        if run is not None:
            run.root.program.hot.pop(run_id, None)
            run.root.program.parked.pop(run_id, None)
        self.cold.pop(run_id, None)
        self.fresh.discard(run_id)
        self.endings.pop(run_id, None)
        self.waits.forget(run_id)
        self.unread.pop(run_id, None)
        self.timers.cancel(run_id)
        return run

    def forget_tree(self, root_id: str) -> None:
        """Drops what is in memory of a root and all below it; the workers are told."""
        known: list[Iterable[str]] = [
            self.hot,
            self.cold,
            self.endings,
            self.waits.pending,
            self.fresh,
            self.unread,
            self.timers.run_ids(),
        ]
        self.once.forget_tree(root_id)
        self.parallel.forget_tree(root_id)
        for run_id in {each for table in known for each in table if root_of(each) == root_id}:
            run = self.forget(run_id)
            if run is not None:
                run.worker.send(["drop", run_id, run.incarnation])


def _all_modules(run: Caller, action: OpenAction) -> tuple[str, ...]:
    """The modules whose doing a child is: those that led to its parent and those that called it."""
    if not action.modules:
        return run.modules
    return tuple(dict.fromkeys((*run.modules, *action.modules)))
