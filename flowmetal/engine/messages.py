"""What an engine does in its own journal for a flow: messages between runs, and the state that runs share.

*Once.*  What one of these effects changes is written in the transaction of its own result.  Without a result nothing
was done, so after a kill it is simply done; no attempt of it is ever in doubt.  A message to a run of this engine is an
event of that run, in the batch of the sender's result; one to any other run is mail.  Where something else may have
been written in the meantime — mail, shared state — it is decided inside the transaction.

*In order.*  A run's unread messages are the signals in its history that no result names, oldest first.  The engine
keeps their numbers only, found again in the journal when the run first receives something; the values stay there.  A
message that finds somebody waiting for its name goes to who has waited longest.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flowmetal.engine.flights import Flight
from flowmetal.engine.runs import Runs
from flowmetal.engine.secrecy import Secrecy
from flowmetal.engine.shared import SharedState, not_sent, record, value_in
from flowmetal.errors import FlowmetalError, QuotaError, UsageError
from flowmetal.journal import events, messages
from flowmetal.journal.framing import unpack_plain
from flowmetal.journal.keys import root_of
from flowmetal.journal.messages import Waiting
from flowmetal.journal.store import Update
from flowmetal.permissions.matching import denies
from flowmetal.permissions.packages import packages_of
from flowmetal.permissions.wants import Want
from flowmetal.values import Wire, ok, pack, unpack

_Waiters = OrderedDict[int, Flight]


class Messages:
    """Receives, sends, and keeps what is shared.

    Args:
        runs: whose messages they are.
        land: gives a flight its Result.
        secrecy: masks secrets in what comes.
    """

    def __init__(self, runs: Runs, land: Callable[[Flight, Wire], None], secrecy: Secrecy) -> None:
        self._runs = runs
        self._secrecy = secrecy
        self._ledger = runs.ledger
        self._land = land
        # Run id → name → who waits for a message of that name, by the number of the action.
        self._waiting: dict[str, dict[str, _Waiters]] = {}
        # Those of them for whom there is a message, which they get when there is room; see ``parallel.py``.
        self._roused: dict[tuple[str, str], set[int]] = {}
        shared = SharedState(runs)
        self._doing: dict[str, Callable[[Flight], Wire | None]] = {
            "receive": self._receive,
            "signal": self._signal,
            "state.get": shared.get,
            "state.set": shared.set,
        }

    # -- what the gate asks ----------------------------------------------------------------------------

    def needing_leave(self, flight: Flight, wants: Sequence[Want]) -> list[Want]:
        """Those of ``wants`` that need a grant: no message to the run's own tree or to what that has started.

        A package needs one for these too: a message may be the very word that another part of the run waits for.
        """
        return [want for want in wants if not (want.effect == "signal" and self._is_own(flight, want))]

    def _is_own(self, flight: Flight, want: Want) -> bool:
        grants, own = flight.root.grants, flight.root.header.run_id
        modules = (*flight.inherited, *flight.action.modules)
        if packages_of(modules, [label for label, _ in grants.packages]):
            return False
        if any(denies(grant, want, fold=False) for grant in grants.deny):
            return False
        root = root_of(want.resource)
        if root == own:
            return True
        header = self._ledger.journal.header(root)
        return header is not None and bool(header.started_by) and root_of(header.started_by) == own

    def begin(self, flight: Flight) -> Wire | None:
        """Does what an effect asks for; its Result, or None if that comes later."""
        return self._doing[flight.effect.name](flight)

    def give_up(self, flight: Flight) -> None:
        """The time of a flight is up: its run waits for it no more."""
        self.forget(flight)
        if flight.run_id not in self._waiting:
            self._runs.mark(flight.run_id, "running")

    def forget(self, flight: Flight) -> None:
        """A flight is over: it waits for nothing any more."""
        run_id, number, name = flight.run_id, flight.action.number, str(flight.args.get("message"))
        waiters = self._waiters(run_id, name)
        if waiters.get(number) is not flight:
            return
        del waiters[number]
        if not waiters:
            del self._waiting[run_id][name]
            if not self._waiting[run_id]:
                del self._waiting[run_id]
        roused = self._roused.get((run_id, name), set())
        if number in roused:
            roused.discard(number)
            if not roused:
                del self._roused[(run_id, name)]
            if self._runs.parallel.is_limited(run_id):
                self._rouse(run_id, name)

    def _waiters(self, run_id: str, name: str) -> _Waiters:
        return self._waiting.get(run_id, {}).get(name) or OrderedDict()

    # -- receiving -------------------------------------------------------------------------------------

    def _receive(self, flight: Flight) -> Wire | None:
        run_id, name = flight.run_id, flight.args["message"]
        came = self._unread(run_id).get(name)
        if came and (run_id, name) not in self._roused:
            return self._read(flight, came.popleft())
        self._waiting.setdefault(run_id, {}).setdefault(name, OrderedDict())[flight.action.number] = flight
        self._runs.parallel.rest(run_id, flight.action.number)
        self._runs.mark(run_id, "waiting")
        self._rouse(run_id, name)
        return None

    def _rouse(self, run_id: str, name: str) -> None:
        """Gives messages that are unread to those who wait longest, each when there is room for it."""
        while (flight := self._to_rouse(run_id, name)) is not None:
            number = flight.action.number
            self._roused.setdefault((run_id, name), set()).add(number)
            self._runs.parallel.rouse(run_id, number, partial(self._take_oldest, flight))

    def _to_rouse(self, run_id: str, name: str) -> Flight | None:
        roused = self._roused.get((run_id, name), ())
        if len(self._runs.unread.get(run_id, {}).get(name, ())) <= len(roused):
            return None
        return next((each for number, each in self._waiters(run_id, name).items() if number not in roused), None)

    def _take_oldest(self, flight: Flight) -> None:
        run_id, name = flight.run_id, flight.args["message"]
        came = self._unread(run_id).get(name)
        if came and self._waiters(run_id, name).get(flight.action.number) is flight:
            self._hand_to(flight, self._read(flight, came.popleft()))

    def _hand_to(self, flight: Flight, result: Wire) -> None:
        self.give_up(flight)
        self._land(flight, result)

    def _unread(self, run_id: str) -> dict[str, deque[int]]:
        """The sequences of a run's unread messages by name, the oldest first."""
        known = self._runs.unread.get(run_id)
        if known is None:
            known = self._runs.unread[run_id] = {}
            if self._ledger.commit():
                for each in messages.unread(self._ledger.journal.store, run_id):
                    known.setdefault(each.name, deque()).append(each.sequence)
        return known

    def _read(self, flight: Flight, sequence: int) -> Wire:
        if sequence > self._ledger.writer.durable_sequence:
            self._ledger.commit()
        (_, body), *_ = self._ledger.journal.raw_history(flight.run_id, sequence - 1, 1)
        return self._received(flight, sequence, unpack_plain(body)["v"])

    def _received(self, flight: Flight, sequence: int, value: bytes) -> Wire:
        flight.read = sequence
        self._ledger.writer.count_messages(flight.run_id, -1, -len(value))
        return ok(unpack(value))

    def take_mail(self, key: bytes, run_id: str, message: dict[str, Any]) -> None:
        """Makes an event of a signal that came as mail, in the transaction that removes the mail."""
        name, sender = message.get("name"), message.get("sender", "")
        value = value_in(message)
        if type(name) is str and type(sender) is str and value is not None:
            sequence = self._append(run_id, name, value, sender)
            self._ledger.writer.delete_mail(key)
            self._hand_over(run_id, name, value, sequence)
        else:
            self._ledger.writer.delete_mail(key)

    def _append(self, run_id: str, name: str, value: bytes, sender: str) -> int:
        ledger = self._ledger
        value = self._secrecy.packed(self._runs.roots[root_of(run_id)], value)
        return ledger.append(run_id.encode(), events.signal(ledger.now_ms, name, ledger.field(run_id, value), sender))

    def _hand_over(self, run_id: str, name: str, value: bytes, sequence: int) -> None:
        """Gives a message to who waits for it, or leaves it unread."""
        waiters = self._waiters(run_id, name)
        if waiters and not self._runs.parallel.is_limited(run_id):
            flight = next(iter(waiters.values()))
            self._hand_to(flight, self._received(flight, sequence, value))
        elif run_id in self._runs.unread:
            self._runs.unread[run_id].setdefault(name, deque()).append(sequence)
            self._rouse(run_id, name)

    # -- sending ---------------------------------------------------------------------------------------

    def _signal(self, flight: Flight) -> Wire | None:
        to, name, value = flight.args["run_id"], flight.args["message"], pack(flight.args["value"])
        problems: list[FlowmetalError] = []
        try:
            if self._is_at_hand(to):
                return self._send_here(flight, to, name, value)
        except QuotaError as error:
            return not_sent(flight, error)

        def send(update: Update) -> None:
            try:
                messages.post_signal(update, to, name, value, flight.run_id)
            except (UsageError, QuotaError) as error:
                problems.append(error)
            else:
                record(self._runs, flight, ok())

        if not self._ledger.commit(send):
            return None
        return not_sent(flight, problems[0]) if problems else ok()

    def _is_at_hand(self, run_id: str) -> bool:
        """Whether a run is driven here, and nothing that was sent to it earlier is still on its way."""
        if root_of(run_id) not in self._runs.roots or not self._runs.is_unfinished(run_id):
            return False
        with self._ledger.journal.store.view() as view:
            return not messages.has_mail(view, run_id)

    def _send_here(self, flight: Flight, to: str, name: str, value: bytes) -> Wire:
        writer = self._ledger.writer
        with self._ledger.journal.store.view() as view:
            known = messages.waiting(view, to)
        more, more_bytes = writer.counted(to)
        waiting = Waiting(known.messages + more, known.size_bytes + more_bytes)
        messages.check_room(to, waiting, len(value), self._runs.roots[root_of(to)].limits)
        writer.count_messages(to, 1, len(value))
        sequence = self._append(to, name, value, flight.run_id)
        # Before the message has any effect, which may commit: it is sent if and only if this is recorded.
        record(self._runs, flight, ok())
        self._hand_over(to, name, value, sequence)
        return ok()
