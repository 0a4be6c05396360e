"""The engine: one asyncio loop that owns a home's runs while it lives.

Everything happens in turns.  A turn begins with frames from a worker, a timer, the end of an effect, mail, or a call
of the methods below; it ends with ``settle``: what waits for durability is committed and let go, ready runs are given
to workers, frames are written.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from flowmetal.actions.registry import Registry
from flowmetal.actions.services import Services
from flowmetal.alarm_clock import AlarmClock, SimulatedClock
from flowmetal.engine.cancelling import Cancelling
from flowmetal.engine.checks import BadMessage
from flowmetal.engine.closing import Closing
from flowmetal.engine.detached import start_detached
from flowmetal.engine.dispatch import Dispatcher
from flowmetal.engine.effects import Decide, Effects
from flowmetal.engine.endings import Endings
from flowmetal.engine.ledger import Ledger
from flowmetal.engine.messages import Messages
from flowmetal.engine.pausing import Pausing
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.programs import Programs, Spawn, program_key
from flowmetal.engine.recovery import take_up
from flowmetal.engine.runs import Observer, Runs
from flowmetal.engine.scheduler import Scheduler
from flowmetal.engine.starting import RunRequest, root_state, start_request, widen_grants
from flowmetal.engine.supply import SourceProvider
from flowmetal.engine.table import ProgramState, RootState, Start, StoppedRun
from flowmetal.engine.timers import DEADLINE, Timers
from flowmetal.engine.waiting import all_wait, following
from flowmetal.errors import (
    ConflictError,
    FlowmetalError,
    HomeError,
    InternalError,
    JournalError,
    QuotaError,
    RunBusyError,
    UnknownRunError,
)
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of
from flowmetal.journal.mail import mail_slice
from flowmetal.journal.messages import SIGNAL
from flowmetal.journal.ownership import Ownership
from flowmetal.journal.starting import Begun
from flowmetal.permissions.decision import decide_all
from flowmetal.permissions.grants import GrantSet
from flowmetal.settings import Limits

_MAIL_SECONDS: Final = 0.05
_MOST_MAIL: Final = 1_000
_MOST_MAIL_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A root run that is driven; ``header`` is as it was when it was taken up."""

    header: Header
    came: asyncio.Future[Outcome]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a root run came out: ``value`` is the encoded Result, or None with the ``error`` that stopped it."""

    header: Header
    value: bytes | None
    error: FlowmetalError | None = None


class Engine:
    """Drives runs; use it within one running event loop, and ``close`` it.

    Args:
        journal: the home's journal.
        ownership: this engine's identity, its lock held.
        registry: the effects there are.
        protected: directories that no grant opens.
        clock: the time; a simulated one is moved on whenever every run waits.
        spawn: starts workers.
        services: what effects share; none by default.
        decide: the one function that decides on effects; a plan has its own.
    """

    def __init__(
        self,
        journal: Journal,
        ownership: Ownership,
        registry: Registry,
        protected: tuple[str, ...],
        clock: AlarmClock,
        spawn: Spawn = WorkerProcess,
        services: Services | None = None,
        decide: Decide = decide_all,
    ) -> None:
        self._journal = journal
        self._ownership = ownership
        self._simulated = clock if isinstance(clock, SimulatedClock) else None
        self._ledger = Ledger(journal, clock, self._give_up_all, ownership.check, self._want_turn)
        self._timers = Timers(clock, self._timers_fired)
        self._runs = Runs(self._ledger, self._timers, self._enqueue)
        if self._simulated is not None:
            spawn = following(spawn, self._simulated)
        self._programs = Programs(self._worker_spoke, self._worker_ended, self._settle, spawn)
        endings = Endings(self._runs)
        self._cancelling = Cancelling(self._runs, endings)
        self._scheduler = Scheduler(
            self._runs, self._cancelling, self._programs.ensure_worker, self._stopped, self._want_turn
        )
        self._effects = Effects(self._runs, registry, services or Services(), protected, self._settle, clock, decide)
        self._messages = self._effects.inside = Messages(self._runs, self._effects.land, self._effects.secrecy)
        self._dispatcher = Dispatcher(self._runs, self._cancelling, self._scheduler, self._stopped)
        self._pausing = Pausing(
            self._runs, self._effects, self._stopped, lambda root: take_up(self._runs, self._scheduler, root)
        )
        self._runs.perform = self._effects.perform
        self._runs.abandon = self._effects.abandon
        self._runs.finished = self._root_finished
        self._runs.handle_failure = endings.handle_failure
        self._runs.child_ended = endings.child_ended
        self._runs.take_up_ending = endings.take_up
        self._runs.endings_taken_up = endings.advance_all
        self._runs.root_taken_up = self._expect_detached
        self._runs.closing = Closing(self._ledger, self._closed_from_above)
        self._runs.start_detached = lambda run, action, args: start_detached(
            self._runs, self.engine_id, run, action, args
        )
        self._awaited: dict[str, _Awaited] = {}
        self._some_ended = False
        self._turn: asyncio.Handle | None = None
        self._in_turn = False
        self._turn_wanted = False
        self._jump: asyncio.Handle | None = None
        self._seen_transaction = journal.store.last_transaction()
        self._mail_timer: asyncio.TimerHandle | None = None
        self._closed = False
        asyncio.get_running_loop().set_exception_handler(self._turn_failed)

    @property
    def engine_id(self) -> bytes:
        """The 16 bytes that name this engine as the owner of runs."""
        return self._ownership.engine_id

    @property
    def owned(self) -> list[str]:
        """The root runs that are being driven."""
        return list(self._runs.roots)

    def program_of(self, root_id: str) -> ProgramState:
        """The program of a root run that is being driven."""
        return self._runs.roots[root_id].program

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that live."""
        return self._programs.worker_pids()

    def observe(self, observer: Observer | None, *, only_questions: bool = False) -> None:
        """Tells ``observer`` of what happens from now on, with ``only_questions`` only of what people are asked."""
        self._runs.observer = None if only_questions else observer
        self._effects.people = observer

    def commit_every_turn(self) -> None:
        """From now on no turn ends with anything that is not durable: slower, and nothing is kept back."""
        self._ledger.commit_at = 1

    # -- starting and resuming -------------------------------------------------------------------------

    async def load(self, main: str, provider: SourceProvider, limits: Limits) -> ProgramState:
        """Loads a program in a worker.

        Raises:
            LanguageError: it cannot be loaded.
        """
        return await self._programs.load(main, provider, limits)

    def begin(self, program: ProgramState, request: RunRequest) -> Begun:
        """Starts a root run of a loaded program, or finds the one that has its id.

        Raises:
            ConflictError: the id exists with another flow, other arguments or grants.
        """
        self._ledger.tick()
        asked = start_request(request, program, self._ledger.now_ms)
        begun = self._journal.begin(asked, self.engine_id)
        if begun.outcome == "started":
            # The program at hand is the one that was pinned; no second worker for it.
            self._programs.remember(
                program_key(begun.header.program, begun.header.grants_digest, program.limits), program
            )
            self._take_up(begun.header, fresh=request)
        elif begun.outcome == "adopted":
            self._take_up(begun.header)
        return begun

    def adopt(
        self,
        root_id: str,
        more: GrantSet | None = None,
        *,
        journal_bytes_per_run: int | None = None,
        even_held: bool = True,
    ) -> Header:
        """Takes up a free root run; ``more`` is granted to it from now on.

        ``journal_bytes_per_run`` is its limit while this engine drives it; None for the one that it was started with.

        Raises:
            RunPausedError: someone paused it, and not ``even_held``.
            RunBusyError: a live engine drives it.
            UnknownRunError: no such run.
        """
        self._ledger.tick()
        header = self._journal.adopt(root_id, self.engine_id, even_held=even_held)
        if not header.is_finished:
            if even_held:
                self._pausing.resumed(root_id)
            self._take_up(header, more=more, journal_bytes_per_run=journal_bytes_per_run)
        return header

    def _take_up(
        self,
        header: Header,
        *,
        fresh: RunRequest | None = None,
        more: GrantSet | None = None,
        journal_bytes_per_run: int | None = None,
    ) -> None:
        try:
            root = root_state(self._journal, self._programs, header)
            if journal_bytes_per_run is not None:
                root.limits = replace(root.limits, journal_bytes_per_run=journal_bytes_per_run)
            self._expect(header)
            if fresh is not None:
                self._runs.start_root(root, fresh.args, fresh.modules)
            else:
                take_up(self._runs, self._scheduler, root)
        except JournalError:
            self._runs.roots.pop(header.run_id, None)
            self._journal.release(header.run_id, self.engine_id)
            raise
        if more is not None and more != GrantSet():
            self._widen(root, more)
        if fresh is None:
            self._take_mail()  # what it says comes before anything else happens
        if self._mail_timer is None:
            self._mail_timer = asyncio.get_running_loop().call_later(_MAIL_SECONDS, self._look_for_mail)
        self._settle()

    def _expect(self, header: Header) -> _Awaited:
        known = self._awaited.get(header.run_id)
        if known is None or known.came.done():
            known = self._awaited[header.run_id] = _Awaited(header, asyncio.get_running_loop().create_future())
        return known

    def _expect_detached(self, root_id: str) -> None:
        """Nobody has asked for this one, so how it came out is not kept for who may ask later."""
        root = self._runs.roots.get(root_id)
        awaited = self._expect(root.header) if root is not None else self._awaited[root_id]  # ended at once
        awaited.came.add_done_callback(lambda _: self._let_go(awaited))

    def _closed_from_above(self, root_ids: list[str]) -> None:
        """The run that started these has ended, and so they are to end; those that nobody drives, by us."""
        if root_ids:
            asyncio.get_running_loop().call_soon(self._close_from_above, root_ids)

    def _close_from_above(self, root_ids: list[str]) -> None:
        for root_id in root_ids:
            # One that is busy, or moved, is another engine's to end.
            with contextlib.suppress(ConflictError, RunBusyError, UnknownRunError):
                if not self._closed and root_id not in self._runs.roots and not self.adopt(root_id).is_finished:
                    self._expect_detached(root_id)
        if not self._closed:
            self._take_mail()

    def _let_go(self, awaited: _Awaited) -> None:
        if self._awaited.get(awaited.header.run_id) is awaited:
            del self._awaited[awaited.header.run_id]

    def _enqueue(self, start: Start) -> None:
        self._scheduler.enqueue(start)

    async def outcome(self, root_id: str) -> Outcome:
        """Waits for the end of a root run that this engine drives; it is told once."""
        awaited = self._awaited[root_id]
        outcome = await asyncio.shield(awaited.came)
        self._let_go(awaited)
        return outcome

    async def idle(self) -> None:
        """Waits until no root run is driven any more."""
        while pending := [each.came for each in self._awaited.values() if not each.came.done()]:
            await asyncio.wait(pending)

    def cancel(self, run_id: str, reason: str, *, at_once: bool = False) -> None:
        """Ends a run that this engine drives, with its descendants, once they have cleaned up or ``at_once``."""
        self._ledger.tick()
        self._pausing.give_way(run_id)
        self._cancelling.ask_for_end(run_id, reason, at_once=at_once)
        self._settle()

    def pause(self, root_id: str, reason: str, *, cut: bool = False) -> None:
        """Lets go of a root run that nobody is to take up before someone resumes it; see ``pausing.py``."""
        self._ledger.tick()
        self._pausing.pause(root_id, reason, cut=cut)
        self._settle()

    def answer(self, run_id: str, number: int, text: str) -> bool:
        """Gives a person's answer to an action that waits for one; False if there is none of that number."""
        self._ledger.tick()
        taken = self._effects.answer(run_id, number, text)
        self._settle()
        return taken

    def grant(self, root_id: str, more: GrantSet) -> None:
        """Grants a run that this engine drives more, from now on; what waits for a grant is tried again."""
        self._ledger.tick()
        self._widen(self._runs.roots[root_id], more)
        self._settle()

    async def stop(self) -> None:
        """Cuts off the effects that can be, and closes what they share; ``close`` must follow."""
        await self._effects.stop()

    def close(self, *, keep_workers: bool = False) -> None:
        """Makes everything durable, ends the workers, gives the runs up.

        With ``keep_workers`` whoever spawned the workers sees to them; no run may be under way.
        """
        if self._closed:
            return
        self._closed = True
        if self._mail_timer is not None:
            self._mail_timer.cancel()
        self._effects.close()
        self._timers.close()
        self._ledger.commit()
        self._programs.close(keep_workers=keep_workers)
        if not self._ledger.failed:
            for root_id in self.owned:
                self._journal.release(root_id, self.engine_id)
        self._ownership.release()

    # -- turns -----------------------------------------------------------------------------------------

    def _want_turn(self) -> None:
        """Something was queued: a turn ends after it, if not this one then one of its own."""
        self._turn_wanted = True
        if self._turn is None and not self._in_turn and not self._closed:
            self._turn = asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        if self._closed or self._ledger.failed:
            return
        self._ledger.settle()
        self._turn_wanted = True
        while self._turn_wanted:
            self._turn_wanted = False
            self._scheduler.pump()
            # Giving runs out may have appended more; what waits for it is let go now, and may make others ready.
            self._ledger.settle()
        self._pausing.let_go()
        self._programs.flush()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._simulated is not None and self._jump is None and all_wait(self._runs, self._effects.under_way):
            self._jump = asyncio.get_running_loop().call_soon(self._jump_on, self._simulated)

    def _jump_on(self, clock: SimulatedClock) -> None:
        """Nothing is left to do at this moment: the next one comes."""
        self._jump = None
        if self._closed or self._turn is not None or not all_wait(self._runs, self._effects.under_way):
            return  # something came up; the end of its turn asks again
        if clock.jump():
            self._settle()

    def _worker_spoke(self, worker: WorkerProcess, messages: Iterable[list[Any]]) -> None:
        self._ledger.tick()
        handle = self._dispatcher.handle
        # What is queued meanwhile is seen to at the end, and needs no turn of the loop for itself.
        self._in_turn = True
        try:
            for message in messages:
                handle(worker, message)
        except BadMessage as error:
            worker.kill(f"it sent {error.message}")
        finally:
            self._in_turn = False
        self._settle()

    def _worker_ended(self, program: ProgramState, reason: str) -> None:
        if self._closed:
            return
        self._ledger.tick()
        never_loaded = not program.is_loaded
        self._scheduler.worker_ended(program, reason)
        if never_loaded and program.failed_loads >= 3:
            self._give_up(program, reason)
        self._settle()

    def _give_up(self, program: ProgramState, reason: str) -> None:
        for root in [each for each in self._runs.roots.values() if each.program is program]:
            error = InternalError(f"the program of {root.header.run_id} cannot be loaded: {reason}")
            self._stopped(StoppedRun(root.header.run_id, error))

    def _timers_fired(self, fired: list[tuple[str, int]]) -> None:
        self._ledger.tick()
        for run_id, number in fired:
            with self._stopping(run_id):
                if number == DEADLINE:
                    self._cancelling.time_is_up(run_id)
                else:
                    self._runs.timer_fired(run_id, number)
        self._settle()

    def _look_for_mail(self) -> None:
        self._mail_timer = None
        if self._some_ended:
            self._some_ended = False
            self._programs.let_go({id(root.program) for root in self._runs.roots.values()})
        try:
            self._ownership.check()
            transaction = self._journal.store.last_transaction()
            # Commits of our own count too: mail may have come just before one of them.
            if transaction != self._seen_transaction:
                self._seen_transaction = transaction
                self._runs.once.look()
                self._take_mail()
        except HomeError as error:
            self._give_up_all(error)
        if not self._closed and self._runs.roots:
            self._mail_timer = asyncio.get_running_loop().call_later(_MAIL_SECONDS, self._look_for_mail)

    def _take_mail(self) -> None:
        self._ledger.tick()
        mail, is_all = mail_slice(self._journal.store, self.owned, _MOST_MAIL, _MOST_MAIL_BYTES)
        if not is_all:
            self._seen_transaction = -1
        unfinished: dict[str, bool] = {}
        for key, run_id, message in mail:
            is_signal = message.get("kind") == SIGNAL
            if root_of(run_id) not in self._runs.roots and self._runs.is_unfinished(run_id):
                continue  # stopped by what came before: it is left for whoever takes the run up
            if not is_signal and self._pausing.keeps(run_id, message):
                continue
            with self._stopping(run_id):
                if is_signal:
                    if run_id not in unfinished:
                        unfinished[run_id] = self._runs.is_unfinished(run_id)
                    if unfinished[run_id]:
                        self._messages.take_mail(key, run_id, message)
                        continue
                elif not self._take(run_id, message):
                    self._seen_transaction = -1  # the run is not that far yet: look again
                    continue
                else:
                    unfinished.clear()
            # After the events it became, so that one commit holds both.
            self._ledger.writer.delete_mail(key)
        if mail:
            self._ledger.commit()  # before anybody looks again
        self._settle()

    def _take(self, run_id: str, message: dict[str, Any]) -> bool:
        """Does what a message says; False if it must wait until the run has been replayed."""
        kind = message.get("kind")
        reason = str(message.get("reason", "someone asked for it"))
        if kind in ("cancel", "terminate"):
            self._pausing.give_way(run_id)
        if kind == "cancel" and "now" in message:
            self._cancelling.ask_for_end(run_id, reason, at_once=message.get("now") is True)
        elif kind in ("cancel", "terminate"):
            self._cancelling.cancel_tree(run_id, reason, at_once=kind == "terminate")
        elif kind == "pause":
            self._pausing.pause(run_id, str(message.get("reason", "")), cut=message.get("cut") is True)
        elif kind == "answer":
            number, text = message.get("number"), message.get("text")
            if type(number) is int and type(text) is str and not self._effects.answer(run_id, number, text):
                return self._runs.is_settled(run_id)
        elif kind == "grant" and (root := self._runs.roots.get(run_id)) is not None:
            self._widen(root, GrantSet.from_data(message.get("grants")))
        return True

    def _widen(self, root: RootState, more: GrantSet) -> None:
        widen_grants(self._ledger, root, more)
        root.header = replace(root.header, grants_digest=root.grants.digest())
        self._ledger.put_header(root.header)
        self._effects.granted(root)

    # -- ends ------------------------------------------------------------------------------------------

    def _root_finished(self, header: Header, value: bytes) -> None:
        self._resolve(header.run_id, Outcome(header, value))

    @contextlib.contextmanager
    def _stopping(self, run_id: str) -> Iterator[None]:
        """Damage to a run's records stops its root, and nobody else's."""
        try:
            yield
        except JournalError as error:
            self._stopped(StoppedRun(run_id, error))

    def _stopped(self, stopped: StoppedRun) -> None:
        root_id = stopped.run_id.partition(".")[0]
        root = self._runs.roots.pop(root_id, None)
        if root is None:
            return
        self._runs.forget_tree(root_id)
        self._ledger.writer.forget_written(root_id.encode())
        if isinstance(stopped.error, QuotaError):
            root.header = replace(root.header, status="paused")
            self._ledger.put_header(root.header)
        ending = self._effects.abandon_root(root_id)
        if self._ledger.commit() and not ending:
            self._journal.release(root_id, self.engine_id)
        for task in ending:
            # Nobody else may take the run up while something is still being done for it.
            task.add_done_callback(lambda _: self._release_when_over(root_id, ending))
        self._resolve(root_id, Outcome(root.header, None, stopped.error))

    def _release_when_over(self, root_id: str, ending: list[asyncio.Task[None]]) -> None:
        if all(task.done() for task in ending) and root_id not in self._runs.roots and not self._closed:
            self._journal.release(root_id, self.engine_id)

    def _give_up_all(self, error: FlowmetalError) -> None:
        """The store refused: nothing may be assumed after this.  The workers are ended, all outcomes are this error.

        Also of a run that has ended, if its end is not durable.
        """
        self._ledger.failed = True
        self._programs.close()
        self._runs.roots.clear()
        for root_id, awaited in list(self._awaited.items()):
            self._resolve(root_id, Outcome(awaited.header, None, error))

    def _turn_failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of ours in the middle of a turn: what is in memory may be half done, so no more of it is written.

        The runs are left as their journal has them, and a resume goes on from there.
        """
        cause = context.get("exception")
        if isinstance(cause, HomeError):
            self._give_up_all(cause)
            return
        error = InternalError(f"the engine failed: {context.get('message')}: {type(cause).__name__}: {cause}")
        error.__cause__ = cause
        self._give_up_all(error)

    def _resolve(self, root_id: str, outcome: Outcome) -> None:
        self._some_ended = True
        awaited = self._awaited.get(root_id)
        if awaited is not None and not awaited.came.done():
            awaited.came.set_result(outcome)
