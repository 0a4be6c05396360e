"""Takes the messages of workers: every field is hostile until it is checked here.

A message of a run that the worker does not hold, of an old incarnation, or with an action number that is not the next
one is refused; the first two happen innocently (a message was under way when the run was dropped), the third ends the
worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from sys import intern
from typing import Any, Final

import msgpack

from flowmetal.engine.cancelling import Cancelling
from flowmetal.engine.checks import (
    RECORDED,
    BadMessage,
    check_action,
    check_exposed,
    check_modules,
    check_names,
    check_size,
    is_call,
)
from flowmetal.engine.lives import Lives
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.runs import OK_NONE, Runs
from flowmetal.engine.scheduler import Scheduler
from flowmetal.engine.table import HotRun, OpenAction, StoppedRun
from flowmetal.errors import InternalError, JournalError, QuotaError, ReplayMismatch, UsageError, ValueCodecError
from flowmetal.identity import child_id
from flowmetal.journal import events
from flowmetal.values import Wire, is_ok_packed, unpack

_PLAIN_ARGS: Final = frozenset({b"\x90", b"\x92\x90\x90"})
_CLOCK_STEP_MS: Final = 86_400_000
_EVENTFUL: Final = frozenset({"record", "child", "act", "enter"})
_NOTED: Final = frozenset({"defer", "release"})
"""Actions that are over when they are written down."""
_TIMED: Final = frozenset({"sleep", "sleep_until", "wait", "wait_any"})


class Dispatcher:
    """Turns messages into what they ask for.

    Args:
        cancelling: ends what a run asks to be ended.
        stopped: told of a run whose replay found another action than recorded.
    """

    def __init__(
        self,
        runs: Runs,
        cancelling: Cancelling,
        scheduler: Scheduler,
        stopped: Callable[[StoppedRun], None],
    ) -> None:
        self._runs = runs
        self._cancelling = cancelling
        self._lives = Lives(runs, cancelling)
        self._ledger = runs.ledger
        self._scheduler = scheduler
        self._stopped = stopped
        self._handlers: dict[str, Callable[[HotRun, list[Any]], None]] = {
            "record": self._record,
            "child": self._child,
            "act": self._act,
            "enter": self._enter,
            "log": self._log,
            "wait": self._wait,
            "room": self._room,
            "live": self._live,
            "done": self._done,
            "evicted": self._evicted,
            "mismatch": self._mismatch,
            "more": self._more,
        }

    def handle(self, worker: WorkerProcess, message: list[Any]) -> None:
        """Takes one message of a run; its shape has been checked.

        Raises:
            BadMessage: the worker cannot be trusted any further.
        """
        handler = self._handlers.get(message[0])
        if handler is None:
            if message[0] == "fault":
                return  # its last words, which its end will tell
            raise BadMessage(f"{message[0]} after its program was loaded")
        run = self._runs.hot.get(message[1])
        if run is None or run.worker is not worker or run.incarnation != message[2]:
            return
        try:
            handler(run, message)
            if run.header.deaths and message[0] in _EVENTFUL and run.run_id in self._runs.hot:
                # Deaths count since the last new event.  This is one; what was refused would be none.
                self._put_header(run, deaths=0)
        except ValueCodecError as error:
            raise BadMessage(f"a value in a {message[0]} message: {error.message}") from None
        except UsageError as error:
            raise BadMessage(f"a {message[0]} message: {error.message}") from None
        except (JournalError, QuotaError) as error:
            self._stopped(StoppedRun(run.run_id, error))
        except BadMessage:
            raise
        except Exception as error:
            # A fault of ours.  The run cannot go on, and must not be ended for it.
            fault = InternalError(f"a {message[0]} message of {run.run_id}: {type(error).__name__}: {error}")
            fault.__cause__ = error
            self._stopped(StoppedRun(run.run_id, fault))

    # -- actions ---------------------------------------------------------------------------------------

    def _next_number(self, run: HotRun, number: int) -> None:
        if number != run.last_action + 1 or not run.is_live:
            raise BadMessage(f"action {number} of {run.run_id}, whose last action was {run.last_action}")
        check_size(run, self._ledger.writer.written)
        run.last_action = number
        if run.parked is not None:
            self._unparked(run)

    def _unparked(self, run: HotRun) -> None:
        run.parked = None
        run.evicting = False
        run.root.program.parked.pop(run.run_id, None)

    def _put_header(self, run: HotRun, **changes: Any) -> None:
        run.header = replace(run.header, **changes)
        self._ledger.put_header(run.header)
        if run.header.is_root:
            run.root.header = run.header

    def _record(self, run: HotRun, message: list[Any]) -> None:
        _, run_id, _, number, callee, args, line, value = message
        self._next_number(run, number)
        if callee not in RECORDED:
            raise BadMessage(f"a record of {callee[:40]!r}")
        check_names(line)
        if callee == "expose":
            check_exposed(unpack(args))
        elif args not in _PLAIN_ARGS:
            unpack(args)
        unpack(value)
        self._ledger.action(run_id, run.key, number, callee, args, line, value=value)

    def _child(self, run: HotRun, message: list[Any]) -> None:
        _, run_id, _, number, callee, args, line, value, name = message
        self._next_number(run, number)
        _check_call(run, callee, args, line, name)
        if value != OK_NONE and not _is_result(unpack(value)):
            raise BadMessage("an outcome that is no Result")
        ledger = self._ledger
        kept_args, kept_value = ledger.field(run_id, args), ledger.field(run_id, value)
        ledger.append(run.key, events.child(ledger.now_ms, number, callee, kept_args, line, kept_value, name))
        self._runs.tell(lambda observer: observer.acted(run_id, number, callee, name))
        self._runs.tell(lambda observer: observer.ended(run_id, number, is_ok_packed(value)))

    def _act(self, run: HotRun, message: list[Any]) -> None:
        _, run_id, _, number, callee, args, line, tasks, name, modules = message
        self._next_number(run, number)
        wire = unpack(args)
        verb, _, target = callee.partition(" ")
        check_names(callee, line, name)
        check_action(run, number, verb, target, wire, tasks)
        # Tens of thousands of open actions may be of a few lines: their texts are there once.
        verb, target, line, name = intern(verb), intern(target), intern(line), intern(name)
        action = OpenAction(number, verb, target, args, line, name, tuple(tasks), at_ms=self._ledger.now_ms)
        more: dict[str, Any] = {"name": name} if name != verb else {}
        if modules:
            check_modules(run, modules)
            more["modules"] = action.modules = tuple(modules)
        if tasks:
            more["deps"] = tasks
        if verb in _TIMED:
            action.due_ms = self._due(verb, wire)
            if action.due_ms is not None:
                more["due_ms"] = action.due_ms
        if verb in _NOTED:
            more["value"] = OK_NONE
        if verb == "defer" and not run.header.deferred:
            self._put_header(run, deferred=1)
        if len(run.open) > run.root.limits.open_actions:
            raise BadMessage(f"more than {run.root.limits.open_actions:,} open actions of {run.run_id}")
        self._ledger.action(run_id, run.key, number, callee, args, line, **more)
        if verb != "cancel" and verb not in _NOTED:
            self._runs.tell(lambda observer: observer.acted(run_id, number, callee, name))
        self._open(run, action, wire)

    def _due(self, verb: str, wire: Any) -> int | None:
        seconds = wire[0] if verb in ("sleep", "sleep_until") else wire[1]
        if seconds is None:
            return None
        return int(seconds * 1_000) + (0 if verb == "sleep_until" else self._ledger.now_ms)

    def _open(self, run: HotRun, action: OpenAction, wire: Any) -> None:
        verb = action.verb
        if verb in ("run", "call", "clean", "do", "start"):
            self._runs.open_action(run, action)
        elif verb in ("sleep", "sleep_until"):
            run.open[action.number] = action
            self._sleep(run, action)
        elif verb in ("wait", "wait_any"):
            run.open[action.number] = action
            self._runs.waits.open(run, action)
        elif verb == "cancel":
            self._cancelling.cancel_task(run, wire[0])
        elif verb == "continue":
            self._lives.continue_as_new(run, action)
        elif verb == "close":
            run.open[action.number] = action
            self._cancelling.cancel_open(run, action.number)
            self._runs.deliver(run.run_id, action.number, OK_NONE)

    def _sleep(self, run: HotRun, action: OpenAction) -> None:
        timers = self._runs.timers
        if action.due_ms is None or timers.has(run.run_id, action.number):
            return
        if action.verb == "sleep_until":
            timers.at(run.run_id, action.number, action.due_ms / 1_000)
        else:
            duration = msgpack.unpackb(action.args)[0]
            remaining = (action.due_ms - self._ledger.now_ms) / 1_000
            timers.after(run.run_id, action.number, max(0.0, min(remaining, duration)))
        only = len(run.open) == 1
        self._put_header(
            run, wake_at_ms=action.due_ms, wake_action=action.number, status="waiting" if only else "running"
        )

    # -- children that were inline ---------------------------------------------------------------------

    def _enter(self, run: HotRun, message: list[Any]) -> None:
        _, run_id, incarnation, number, callee, args, line, name, child_args, started_ms, modules = message
        self._next_number(run, number)
        check_modules(run, modules)
        _check_call(run, callee, args, line, name)
        if child_args not in _PLAIN_ARGS and not is_call(unpack(child_args)):
            raise BadMessage("a call without arguments")
        target = callee.partition(" ")[2]
        if started_ms > self._ledger.now_ms + _CLOCK_STEP_MS:
            raise BadMessage("a child that begins in the future")
        self._ledger.action(run_id, run.key, number, callee, args, line, name=name, modules=modules)
        self._runs.tell(lambda observer: observer.acted(run_id, number, callee, name))
        run.open[number] = action = OpenAction(
            number, "call", target, args, line, name, is_inline=True, is_started=True, modules=tuple(modules)
        )
        header = self._runs.begin_child(run, action, child_args, started_ms)
        run.inline_child = child_id(run_id, number)
        child = HotRun(
            header.run_id,
            header.run_id.encode(),
            header,
            run.root,
            incarnation,
            run.worker,
            tuple(dict.fromkeys((*run.modules, *modules))),
            is_inline=True,
            alone=run.alone,
        )
        self._runs.hot[header.run_id] = child
        run.root.program.hot[header.run_id] = child

    # -- the rest of a run's life ----------------------------------------------------------------------

    def _log(self, run: HotRun, message: list[Any]) -> None:
        _, run_id, _, after, index, text, fields, line, level = message
        limits = run.root.limits
        if len(text) > limits.log_line_bytes + 1 or len(level) > 10:
            raise BadMessage("a log line over its limit")
        check_names(line)
        run.log_bytes += len(text)
        if run.log_bytes > limits.log_bytes_per_run:
            if run.log_bytes - len(text) <= limits.log_bytes_per_run:
                text = f"(more than {limits.log_bytes_per_run:,} bytes of log: the rest of this run's lines is dropped)"
            else:
                return
        if fields is not None:
            unpack(fields)
        ledger = self._ledger
        kept = b"\xc0" if fields is None else ledger.field(run_id, fields)
        ledger.append(run.key, events.log(ledger.now_ms, after, index, text, kept, line, level))
        self._runs.tell(lambda observer: observer.logged(run_id, text, level, fields))

    def _room(self, run: HotRun, message: list[Any]) -> None:
        self._wait(run, message)
        run.any_wakes = True

    def _wait(self, run: HotRun, message: list[Any]) -> None:
        run.any_wakes = False
        run.parked = {number for number in message[3] if number in run.open} or None
        run.answered = run.parked is None
        run.evicting = False
        if run.parked:
            run.root.program.parked[run.run_id] = None

    def _live(self, run: HotRun, message: list[Any]) -> None:
        run.is_live = True
        still_open = set(message[3])
        reopened = [
            action for number, action in sorted(run.open.items()) if action.is_reopened and not action.is_started
        ]
        for action in reopened:
            if action.verb == "cancel":
                # It has no result of its own.  That its task has none means that the engine ended before it was
                # carried out.
                del run.open[action.number]
                self._cancelling.cancel_task(run, unpack(action.args)[0])
        for action in reopened:
            if action.number in still_open and action.number in run.open:
                self._open(run, action, unpack(action.args))

    def _done(self, run: HotRun, message: list[Any]) -> None:
        value = message[3]
        if not _is_result(unpack(value)):
            raise BadMessage("an outcome that is no Result")
        if run.open or not run.is_live:
            raise BadMessage(f"{run.run_id} ended with open actions")
        self._runs.finish(run.header, value, worker_knows=run.is_inline)

    def _evicted(self, run: HotRun, message: list[Any]) -> None:
        if message[3] != run.last_action:
            raise BadMessage(f"{run.run_id} was evicted at another action than its last")
        self._scheduler.evicted(run)

    def _mismatch(self, run: HotRun, message: list[Any]) -> None:
        _, run_id, _, number, expected, got, recorded_line, line = message
        self._runs.forget(run_id)
        versions = run.root.program.versions
        error = ReplayMismatch(
            f"replay of {run_id} differs from its journal at action {number}",
            place=line or recorded_line,
            excerpt=f"  recorded: {expected}   ({recorded_line})\n  asked for: {got}   ({line})",
            remedy=f"the run is left as it was; versions: {versions}" if versions else "the run is left as it was",
        )
        self._stopped(StoppedRun(run_id, error))

    def _more(self, run: HotRun, _message: list[Any]) -> None:
        self._scheduler.stream(run)


def _check_call(run: HotRun, callee: str, args: bytes, line: str, name: str) -> None:
    check_names(callee, line, name)
    if not callee.startswith("call ") or callee[5:] not in run.root.program.flows:
        raise BadMessage(f"a call that says {callee[:200]!r}, which is no flow of the program")
    if args not in _PLAIN_ARGS and not is_call(unpack(args)):
        raise BadMessage("a call without arguments")


def _is_result(wire: Wire) -> bool:
    return isinstance(wire, dict) and "result" in wire
