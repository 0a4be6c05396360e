"""What carries a run forward: action numbers, replay, waiting.

Three rules keep a first run and a replay the same.  Every answer a flow gets is wire data as the journal holds it.
Numbers are given out by the flow's own calls only, never by what arrives.  What can see an order of arrival is asked
of the engine, from whose journal the answer comes again on replay.

While a run has a ``history``, each action is compared with the recorded one and takes the recorded result.  The
history ends when an action is asked for that it does not hold, or when a recorded action has no result: the run *goes
live*, and tells the engine which of its recorded actions are still open.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NoReturn, Protocol

import msgpack

from flowmetal.errors import FlowmetalError
from flowmetal.language.host import Answer, HostError
from flowmetal.language.program import GUARD, Program
from flowmetal.values import Wire, pack, to_text
from flowmetal.worker.protocol import BLOCKING
from flowmetal.worker.run import ARGS, CALLEE, LINE, VALUE, Run
from flowmetal.worker.strand import Mailbox, Strand, StrandPool, Unwind

NO_ARGS: Final = pack([])
_CONTAINERS: Final = (list, dict)
_CALLS: Final = frozenset({"call", "run", "do", "start"})
_MAX_SHOWN: Final = 200
OK_NONE: Final = pack({"result": [True, None, None]})


class Outlet(Protocol):
    """Where messages for the engine go."""

    def send(self, message: list[Any]) -> None:
        """Queues a message."""
        ...

    def flush(self) -> None:
        """Writes what is queued."""
        ...


class Mismatch(Exception):
    """The run asked for another action than its history holds; reported already."""


class Driver:
    """Moves the runs of the calling thread's strand."""

    def __init__(self, outlet: Outlet, pool: StrandPool) -> None:
        self.program: Program
        # The time while the engine's clock is simulated: it stands still until the engine says that it went on.
        self.simulated_us: int | None = None
        self.mailboxes: dict[str, Mailbox] = {}
        self.outlet = outlet
        self._pool = pool
        self._local = threading.local()

    # -- where we are ----------------------------------------------------------------------------------

    def attach(self, strand: Strand) -> None:
        """Makes ``strand`` the calling thread's."""
        self._local.strand = strand

    @property
    def strand(self) -> Strand:
        """The calling thread's strand."""
        strand: Strand = self._local.strand
        return strand

    def innermost(self) -> Run | None:
        """The run that is being evaluated on this thread, if one is."""
        strand: Strand | None = getattr(self._local, "strand", None)
        return strand.runs[-1] if strand is not None and strand.runs else None

    def current(self) -> Run:
        """The run that is being evaluated on this thread.

        Raises:
            HostError: a module is being loaded instead.
        """
        run = self.innermost()
        if run is None or self.program.is_loading():
            raise self.program.refuse(
                HostError("flows and actions cannot be called while a module loads", hint=f"call them under `{GUARD}`")
            )
        return run

    # -- numbers and replay ----------------------------------------------------------------------------

    def begin(self, run: Run, callee: str, packed: bytes, line: str) -> dict[str, Any] | None:
        """Gives the next action its number; its recorded event, or None when it is new and the run live."""
        run.number += 1
        run.ticks = 0
        run.log_index = 0
        run.asked_at = line
        history = run.history
        if history is None:
            return None
        while not history.actions:
            if not self._read_history(run):
                self.go_live(run)
                return None
        event = history.actions.popleft()
        if event[CALLEE] != callee or event[ARGS] != packed:
            self.mismatch(run, event, callee, line, packed)
        return event

    def emit(self, run: Run, message: list[Any]) -> None:
        """Sends a message of a live run, which makes an inlined child a run of its own first."""
        if not run.materialized:
            self._materialize(run)
        self.outlet.send(message)

    def act(
        self,
        run: Run,
        callee: str,
        packed: bytes,
        line: str,
        tasks: list[int],
        name: str,
        modules: Sequence[str] = (),
    ) -> bytes | None:
        """An action that the engine performs; waits for its result if the callee is a blocking one."""
        event = self.begin(run, callee, packed, line)
        number = run.number
        if event is None:
            self.emit(
                run, ["act", run.run_id, run.incarnation, number, callee, packed, line, tasks, name, list(modules)]
            )
        elif event.get(VALUE) is not None:
            value: bytes = event[VALUE]
            return value
        run.open[number] = None
        if callee.partition(" ")[0] not in BLOCKING:
            return None
        self.wait_for(run, [number])
        return run.results.pop(number)

    def record(self, callee: str, line: str, make: Callable[[Run], Wire], packed: bytes = NO_ARGS) -> Wire:
        """An action whose value the worker makes itself: it needs no answer."""
        run = self.current()
        event = self.begin(run, callee, packed, line)
        if event is not None:
            recorded = msgpack.unpackb(event[VALUE])
            if callee == "now":
                # Later times of the run must not lie before this one, wherever the clock is now.
                run.last_now = max(run.last_now, _microseconds(recorded))
            return recorded
        value = make(run)
        self.emit(run, ["record", run.run_id, run.incarnation, run.number, callee, packed, line, msgpack.packb(value)])
        return value

    def is_logged(self, run: Run) -> bool:
        """Whether the log line at hand is recorded; goes live when the history has no more of it."""
        while (history := run.history) is not None:
            if history.actions or history.logged.get(run.number, 0) >= run.log_index:
                return True
            if not self._read_history(run):
                self.go_live(run)
        return False

    def end(self, run: Run, how: str, line: str = "") -> None:
        """Before a run ends its history must be used up: what is left over was not asked for.

        ``how`` it ended, and at which ``line``, are told then.
        """
        while run.history is not None:
            if run.history.actions:
                self.mismatch(run, run.history.actions[0], how, line, None)
            if not self._read_history(run):
                self.go_live(run)

    def go_live(self, run: Run) -> None:
        """Replay is over: everything from here on is new."""
        if run.history is None:
            return
        if run.history.actions:
            self.mismatch(
                run, run.history.actions[0], "(nothing: it waits for a result that is not recorded)", "", None
            )
        run.results.update(run.history.results)
        run.history = None
        still_open = [number for number in run.open if number not in run.results]
        self.outlet.send(["live", run.run_id, run.incarnation, still_open])

    def mismatch(self, run: Run, event: dict[str, Any], callee: str, line: str, packed: bytes | None) -> NoReturn:
        """Reports the first difference between the run and its history, and unwinds.

        A run that asks for nothing is shown where it asked last.
        """
        expected, got = _show(event[CALLEE], event[ARGS]), _show(callee, packed)
        recorded_line = event.get(LINE, "")
        number = event.get("n", run.number)
        self.outlet.send(
            ["mismatch", run.run_id, run.incarnation, number, expected, got, recorded_line, line or run.asked_at]
        )
        self.strand.unwinding = True
        self.strand.mailbox.dropped.add(run.run_id)
        raise Mismatch

    def _read_history(self, run: Run) -> bool:
        """Takes in one more recorded event, waiting for the next slice if need be; False at the end."""
        history = run.history
        assert history is not None
        while not history.read():
            if history.complete:
                return False
            if not history.asked:
                history.asked = True
                self.outlet.send(["more", run.run_id, run.incarnation])
            self._park(run)
        if history.is_low and not history.asked:
            # The next slice comes while this one is used up.
            history.asked = True
            self.outlet.send(["more", run.run_id, run.incarnation])
            self.outlet.flush()
        return True

    def _materialize(self, run: Run) -> None:
        parent = run.parent
        assert parent is not None
        if not parent.materialized:
            self._materialize(parent)
        run.materialized = True
        self.mailboxes[run.run_id] = self.strand.mailbox
        message = [
            "enter",
            parent.run_id,
            parent.incarnation,
            run.parent_number,
            run.callee,
            run.packed,
            run.line,
            run.name,
        ]
        self.outlet.send([*message, pack([run.args, run.kwargs]), run.started_ms, list(run.modules)])

    # -- waiting ---------------------------------------------------------------------------------------

    def wait_for(self, run: Run, numbers: list[int]) -> None:
        """Returns when every number has a result, parking as often as it takes."""
        told = False
        for at, number in enumerate(numbers):
            while not self._has_result(run, number):
                if run.history is not None:
                    if not self._read_history(run):
                        self.go_live(run)
                    continue
                if not told:
                    missing = [each for each in numbers[at:] if not self._has_result(run, each)]
                    self.outlet.send(["wait", run.run_id, run.incarnation, missing])
                told = self._park(run)

    def make_room(self, run: Run, most: int) -> None:
        """Returns when fewer than ``most`` actions of a run have no result: one more may be started."""
        told = False
        while len(run.open) >= most:
            known = [number for number in list(run.open) if self._has_result(run, number)]
            for number in known:
                run.open.pop(number, None)
            if known:
                continue
            if run.history is not None:
                if not self._read_history(run):
                    self.go_live(run)
                continue
            if not told:
                self.outlet.send(["room", run.run_id, run.incarnation, list(run.open)])
            told = self._park(run)

    def observe(self, run: Run, numbers: list[int]) -> None:
        """Waits for tasks, whose results the flow then knows of."""
        self.wait_for(run, numbers)
        for number in numbers:
            run.unobserved.pop(number, None)

    def result(self, run: Run, number: int) -> Answer:
        """The answer of a task that has a result."""
        return answer_of(run.results[number])

    def _has_result(self, run: Run, number: int) -> bool:
        if number in run.results:
            return True
        history = run.history
        if history is not None and number in history.results:
            run.results[number] = history.results.pop(number)
            run.open.pop(number, None)
            return True
        return False

    def _park(self, run: Run) -> bool:
        """Waits for a message to this strand, and takes in all that are there.

        Gives False if the engine's wish to evict was passed over, because an answer had come: then it must be told
        anew what the run waits for.

        Raises:
            Unwind: the strand's runs are evicted or dropped.
        """
        strand = self.strand
        inbox = strand.mailbox.inbox
        messages = []
        if inbox.empty():
            self.outlet.flush()
            self._pool.parking()
            messages.append(inbox.get())
            self._pool.resumed()
        while not inbox.empty():
            messages.append(inbox.get())
        progress = [self._take(strand, message) for message in messages if message[0] != "evict"]
        asked_to_leave = len(progress) < len(messages)
        if (asked_to_leave and not any(progress)) or any(each.run_id in strand.mailbox.dropped for each in strand.runs):
            strand.unwinding = True
            raise Unwind
        return not asked_to_leave

    def _take(self, strand: Strand, message: list[Any]) -> bool:
        """Gives a message to the run it is for; False when that is none of this strand's."""
        for run in strand.runs:
            if run.run_id == message[1] and run.incarnation == message[2]:
                if message[0] == "result":
                    run.results[message[3]] = message[4]
                    run.open.pop(message[3], None)
                elif message[0] == "history" and run.history is not None:
                    run.history.add(message[3], message[4])
                return bool(message[0] != "drop")
        return False

    # -- time and chance -------------------------------------------------------------------------------

    def chance(self, run: Run) -> int:
        """128 random bits; while the clock is simulated, the same for the same action of the same run."""
        if self.simulated_us is None:
            return int.from_bytes(os.urandom(16), "big")
        seed = f"{run.run_id}#{run.number}#chance".encode()
        return int.from_bytes(hashlib.blake2b(seed, key=run.nonce, digest_size=16).digest(), "big")

    def moment(self, run: Run) -> tuple[int, str]:
        """Milliseconds and RFC 3339 text of the time; never earlier than the run has seen."""
        now = time.time_ns() // 1_000 if self.simulated_us is None else self.simulated_us
        run.last_now = max(run.last_now, now)
        return run.last_now // 1_000, moment_text(run.last_now)


def answer_of(data: bytes | None) -> Answer:
    """The answer in an encoded Result; None stands for ``Ok(None)``."""
    if data is None or data == OK_NONE:
        return None
    parts = msgpack.unpackb(data)["result"]
    return parts[1] if parts[0] and type(parts[1]) not in _CONTAINERS else parts


def moment_text(microseconds: int) -> str:
    """RFC 3339 text in UTC of microseconds since the epoch."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{_second_text(seconds)}.{rest:06d}Z"


def _microseconds(moment: str) -> int:
    """Microseconds since the epoch of a text of ``moment_text``."""
    seconds, _, rest = moment.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(f"{seconds}+00:00").timestamp()) * 1_000_000 + int(rest)


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _show(callee: str, packed: bytes | None) -> str:
    if not packed or packed == NO_ARGS:
        return callee
    try:
        call = msgpack.unpackb(packed)
        if callee.partition(" ")[0] not in _CALLS:
            return f"{callee} {', '.join(to_text(each, _MAX_SHOWN) for each in call)}"
        parts = [to_text(each, _MAX_SHOWN) for each in call[0]]
        parts += [f"{call[1][at]} = {to_text(call[1][at + 1], _MAX_SHOWN)}" for at in range(0, len(call[1]), 2)]
        settings = f" with {to_text(call[2], _MAX_SHOWN)}" if len(call) > 2 and call[2] is not None else ""
        return f"{callee.replace(' //', ' ')}({', '.join(parts)[:_MAX_SHOWN]}){settings}"
    except (ValueError, TypeError, LookupError, FlowmetalError):
        return f"{callee} ?"
