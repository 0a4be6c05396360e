"""The one gate: an effect is decided on here, and performed with the decision in hand once all before it is durable.

An effect is a *flight* from the moment it is asked for until it has a result.  Between its attempts, and while it waits
for a person or a grant, a flight is in nobody's hands; only while it is under way may something have happened that the
journal does not know.  Every beginning has a number, its generation: what comes back with an older one (a thread that
was too late, a task that was cancelled) changes nothing any more.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, Protocol

from flowmetal.actions.effect import EffectContext, EffectFailure
from flowmetal.actions.registry import Registry
from flowmetal.actions.services import Services
from flowmetal.alarm_clock import AlarmClock
from flowmetal.engine.flights import (
    Flight,
    interrupted_failure,
    perform,
    perform_async,
    retry_after_seconds,
    schedule_failure,
    timeout_failure,
)
from flowmetal.engine.runs import Observer, Runs
from flowmetal.engine.secrecy import Secrecy
from flowmetal.engine.table import HotRun, OpenAction, RootState
from flowmetal.errors import FlowmetalError
from flowmetal.identity import idempotency_key
from flowmetal.journal import events
from flowmetal.journal.keys import root_of
from flowmetal.permissions.decision import Denied, decide_all
from flowmetal.permissions.grants import GrantSet
from flowmetal.permissions.wants import Allowed, Want
from flowmetal.policy import policy_items, read_policy
from flowmetal.values import Failure, Wire, err, failure_of, is_ok, ok, pack

_MAX_THREADS: Final = 16
_STOP_SECONDS: Final = 5.0
_MAX_REASON: Final = 300
ASKED_INPUT: Final = "input"
ASKED_GRANT: Final = "grant"
ASKED_INTERRUPTED: Final = "interrupted"
REPEAT: Final = "repeat"
_Key = tuple[str, int]


class Decide(Protocol):
    """Decides on what an effect wants; ``decide_all`` is one, and a plan's records and allows."""

    def __call__(
        self, grants: GrantSet, wants: Iterable[Want], modules: Sequence[str] = (), *, protected: tuple[str, ...] = ()
    ) -> tuple[Allowed, ...] | Denied:
        """Leave for every one of ``wants``, or the first refusal."""
        ...


class Inside(Protocol):
    """Who does what the engine does in its own journal: effects of mode ``engine``."""

    def needing_leave(self, flight: Flight, wants: Sequence[Want]) -> list[Want]:
        """Those of ``wants`` that need a grant."""
        ...

    def begin(self, flight: Flight) -> Wire | None:
        """Does it; the Result, or None if that comes later."""
        ...

    def give_up(self, flight: Flight) -> None:
        """The time of a flight is up: its run waits for it no more."""
        ...

    def forget(self, flight: Flight) -> None:
        """The flight is over."""
        ...


class Effects:
    """Performs effects.

    Args:
        runs: where results are delivered.
        registry: the effects there are.
        services: what effects share.
        protected: directories that no grant opens: the home, its journal.
        settle: ends a turn of the loop after something came from outside it.
        clock: wakes what waits for its next attempt, or has only so much time.
        decide: the one function that decides.
    """

    def __init__(
        self,
        runs: Runs,
        registry: Registry,
        services: Services,
        protected: tuple[str, ...],
        settle: Callable[[], None],
        clock: AlarmClock,
        decide: Decide = decide_all,
    ) -> None:
        self._runs = runs
        self._ledger = runs.ledger
        self._registry = registry
        self._services = services
        self.secrecy = Secrecy(services.secrets)
        self._protected = protected
        self._settle = settle
        self._call_later = clock.call_later
        self._decide = decide
        self.people: Observer | None = None
        self.inside: Inside
        self._threads: ThreadPoolExecutor | None = None
        self._flights: dict[_Key, Flight] = {}
        self._by_run: dict[str, set[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    # -- asking ----------------------------------------------------------------------------------------

    def perform(
        self, run: HotRun, action: OpenAction, args: list[Wire], kwargs: list[Wire], settings: Wire = None
    ) -> None:
        """Decides on an effect and, if it is granted, performs it as soon as its action is durable."""
        key = (run.run_id, action.number)
        known = self._flights.get(key)
        if known is not None and known.wanted:
            return  # started in an earlier life of the run, by this engine
        root = run.root
        try:
            effect, bound = self._registry.bind(action.target, args, dict(zip(kwargs[::2], kwargs[1::2], strict=True)))
        except EffectFailure as error:
            self._deliver(run.run_id, action, err(error.to_failure(action.name, action.line)))
            return
        policy = read_policy(settings)
        context = EffectContext(
            policy_items(settings).get("idempotency_key") or idempotency_key(root.nonce, *key),
            root.base_dir,
            action.target,
            action.attempt,
            root.nonce,
            root.limits,
            self._services,
            name=action.name,
            decide=lambda want: self._decide_one(root, want, (*run.modules, *action.modules)),
            timeout_seconds=policy.timeout_seconds,
        )
        flight = Flight(run.run_id, action, root, run.modules, effect, bound, context, policy, action.attempt)
        self._flights[key] = flight
        self._by_run.setdefault(run.run_id, set()).add(action.number)
        if policy.schedule_timeout_seconds is not None:
            left = policy.schedule_timeout_seconds - (self._ledger.now_ms - action.at_ms) / 1_000
            flight.deadline = self._call_later(max(0.0, left), lambda: self._schedule_over(flight))
        # Where it may have had to wait for a place, that it began is recorded.
        is_limited = self._runs.parallel.is_limited(run.run_id)
        if action.is_reopened and (action.has_begun or not is_limited):
            self._take_up(flight)
            return
        if is_limited:
            self._note_begun(flight)
        self._begin(flight)

    def _take_up(self, flight: Flight) -> None:
        """Goes on with an effect that an engine before this one had begun, or was about to begin."""
        action = flight.action
        # What it waited for may have been granted, so what it lacks now is asked for anew; other questions stand.
        flight.asked = "" if action.asked == ASKED_GRANT else action.asked
        if action.asked == ASKED_INTERRUPTED:
            self._ask_whether_to_repeat(flight)
        elif action.asked or flight.effect.mode == "person":
            if action.asked == ASKED_GRANT:
                self._note_begun(flight)
            self._begin(flight)
        elif action.retry_due_ms is not None:
            # Planned and not begun, whatever the clock says; one that was set back must not make the pause longer.
            left_ms = min(action.retry_due_ms - self._ledger.now_ms, action.retry_delay_ms)
            self._begin_later(flight, max(0.0, left_ms / 1_000))
        elif flight.effect.mode == "engine":
            self._begin(flight)  # without a result nothing has happened
        elif flight.policy.interrupted == "never":
            self._land(flight, err(interrupted_failure(flight)))
        elif flight.policy.interrupted == "ask":
            self._ask_whether_to_repeat(flight)
        else:
            self._repeat(flight)

    def _ask_whether_to_repeat(self, flight: Flight) -> None:
        name = flight.action.name
        self._ask(flight, ASKED_INTERRUPTED, f"{name} was interrupted and may have run: repeat it? (repeat/fail)")

    def _repeat(self, flight: Flight) -> None:
        self._ledger.append(
            flight.run_id.encode(), events.attempt(self._ledger.now_ms, flight.action.number, flight.attempt, True)
        )
        self._begin(flight)

    def _note_begun(self, flight: Flight) -> None:
        """Writes down that an attempt which was put off begins: from here on it may have run."""
        number = flight.action.number
        self._ledger.append(flight.run_id.encode(), events.attempt(self._ledger.now_ms, number, flight.attempt))

    # -- deciding and performing -----------------------------------------------------------------------

    def _begin(self, flight: Flight) -> None:
        """One attempt: what is wanted is decided on anew."""
        flight.generation += 1
        action = flight.action
        try:
            wants = flight.effect.want(flight.args, flight.context)
        except EffectFailure as error:
            self._ended(flight, flight.generation, err(error.to_failure(action.name, action.line)))
            return
        modules = (*flight.inherited, *action.modules)
        wants = self.inside.needing_leave(flight, wants)
        decision = self._decide(flight.root.grants, wants, modules, protected=self._protected)
        if isinstance(decision, Denied):
            if flight.root.on_deny == "wait" and decision.option:
                # The options stand on a line of their own, so that no text of a flow can be taken for them.
                self._ask(flight, ASKED_GRANT, f"{decision.option}\n{decision.message}")
                return
            details = {"dict": ["option", decision.option]}
            failure = Failure("denied", decision.message, details, action.name, action.line)
            self._ended(flight, flight.generation, err(failure))
            return
        flight.allowed = decision
        flight.asked = "" if flight.asked == ASKED_GRANT else flight.asked
        generation = flight.generation
        if flight.effect.mode == "engine":
            self._begin_inside(flight, generation)
        else:
            self._ledger.when_durable(lambda: self._execute(flight, generation))

    def _begin_inside(self, flight: Flight, generation: int) -> None:
        """Nothing of this leaves the journal, so it need not be durable first."""
        result = self.inside.begin(flight)
        if result is not None:
            self._ended(flight, generation, result)
        elif flight.policy.timeout_seconds is not None:
            seconds = flight.policy.timeout_seconds
            if flight.attempt == 1 and not flight.action.deps:
                # It began when it was asked for, in whatever life that was.
                seconds -= max(0, self._ledger.now_ms - flight.action.at_ms) / 1_000
            flight.set_timer(self._call_later(max(0.0, seconds), lambda: self._attempt_over(flight, generation)))

    def _decide_one(self, root: RootState, want: Want, modules: Sequence[str]) -> Allowed | Denied:
        decision = self._decide(root.grants, [want], modules, protected=self._protected)
        return decision if isinstance(decision, Denied) else decision[0]

    def _execute(self, flight: Flight, generation: int) -> None:
        if flight.generation != generation or self._flights.get((flight.run_id, flight.action.number)) is not flight:
            return  # cancelled before it began
        mode = flight.effect.mode
        if mode == "inline":
            self._ended(flight, generation, perform(flight))
        elif mode == "person":
            result = perform(flight)
            if is_ok(result):
                self._ask(flight, ASKED_INPUT, str(result["result"][1]))
            else:
                self._ended(flight, generation, result)
        else:
            loop = asyncio.get_running_loop()
            if flight.policy.timeout_seconds is not None:
                flight.set_timer(
                    self._call_later(flight.policy.timeout_seconds, lambda: self._attempt_over(flight, generation))
                )
            if mode == "thread":
                self._in_thread(flight, generation, loop)
            else:
                task = loop.create_task(self._in_task(flight, generation))
                flight.task = task
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _in_thread(self, flight: Flight, generation: int, loop: asyncio.AbstractEventLoop) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="effect")
        future = flight.thread = self._threads.submit(perform, flight)

        def done(finished: Future[Wire]) -> None:
            if not finished.cancelled():
                loop.call_soon_threadsafe(self._came, flight, generation, finished.result())

        future.add_done_callback(done)

    async def _in_task(self, flight: Flight, generation: int) -> None:
        result = await perform_async(flight)
        self._came(flight, generation, result)

    def _came(self, flight: Flight, generation: int, result: Wire) -> None:
        self._ledger.tick()
        self._ended(flight, generation, result)
        self._settle()

    # -- ends of attempts ------------------------------------------------------------------------------

    def _ended(self, flight: Flight, generation: int, result: Wire) -> None:
        """An attempt came to an end: the result is delivered, or another attempt planned."""
        if flight.generation != generation or self._flights.get((flight.run_id, flight.action.number)) is not flight:
            return
        flight.thread = flight.task = None
        flight.stop_timer()
        if self._stopping and not is_ok(result) and failure_of(result).kind == "cancelled":
            return  # it was cut off because the engine ends: that is no result
        if flight.wanted and not is_ok(result) and root_of(flight.run_id) in self._runs.roots:
            failure = failure_of(self.secrecy.of(flight.root).wire(result))
            # A call that is wrong stays wrong, unless its policy says otherwise.
            is_wrong = failure.kind == "error" and flight.policy.retry_on is None
            if not is_wrong and flight.policy.may_retry(failure, flight.attempt):
                self._retry(flight, failure)
                return
        self._land(flight, result)

    def _retry(self, flight: Flight, failure: Failure) -> None:
        policy, number, now_ms = flight.policy, flight.action.number, self._ledger.now_ms
        delay_seconds = max(policy.delay_seconds(flight.attempt, random.random()), retry_after_seconds(failure))
        due_ms = now_ms + int(delay_seconds * 1_000)
        if (
            policy.schedule_timeout_seconds is not None
            and due_ms > flight.action.at_ms + policy.schedule_timeout_seconds * 1_000
        ):
            self._land(flight, err(schedule_failure(flight, failure)))
            return
        flight.attempt += 1
        flight.context = replace(flight.context, attempt=flight.attempt, final_words=[], cut_off=[])
        reason = f"{failure.kind}: {failure.message}"[:_MAX_REASON]
        self._ledger.append(
            flight.run_id.encode(), events.attempt(now_ms, number, flight.attempt, reason=reason, due_ms=due_ms)
        )
        run_id, attempt = flight.run_id, flight.attempt
        self._runs.tell(lambda observer: observer.retrying(run_id, number, attempt, reason, delay_seconds))
        self._begin_later(flight, delay_seconds)

    def _begin_later(self, flight: Flight, seconds: float) -> None:
        if flight.root.is_pausing:
            self._forget(flight)  # it is planned: whoever takes the run up begins it
            return
        flight.generation += 1
        generation = flight.generation

        def begin() -> None:
            if flight.generation == generation and flight.wanted:
                self._ledger.tick()
                self._note_begun(flight)
                self._begin(flight)
                self._settle()

        flight.set_timer(self._call_later(seconds, begin))

    def _attempt_over(self, flight: Flight, generation: int) -> None:
        """The time of one attempt is up."""
        if flight.generation != generation:
            return
        if flight.effect.mode == "engine":
            self._ledger.tick()
            # Its flow goes on, for which there must be room.
            self._runs.parallel.rouse(
                flight.run_id, flight.action.number, lambda: self._patience_over(flight, generation)
            )
            self._settle()
            return
        failure = timeout_failure(flight)
        self._cut_off(flight)
        self._came(flight, flight.generation, err(failure))

    def _patience_over(self, flight: Flight, generation: int) -> None:
        if flight.generation == generation and flight.wanted:
            self.inside.give_up(flight)
            self._cut_off(flight)
            self._ended(flight, flight.generation, err(timeout_failure(flight)))

    def _schedule_over(self, flight: Flight) -> None:
        """The time of all attempts is up."""
        if flight.wanted and self._flights.get((flight.run_id, flight.action.number)) is flight:
            self._cut_off(flight)
            self._ledger.tick()
            self._land(flight, err(schedule_failure(flight, None)))
            self._settle()

    def _cut_off(self, flight: Flight) -> None:
        flight.generation += 1
        flight.context.cut_off.append(True)
        if flight.task is not None:
            flight.task.cancel()
        flight.task = flight.thread = None

    # -- results ---------------------------------------------------------------------------------------

    def _land(self, flight: Flight, result: Wire) -> None:
        self._forget(flight)
        if root_of(flight.run_id) not in self._runs.roots:
            return  # stopped meanwhile, and perhaps another engine's by now
        # Whatever way it came: nothing goes from here to the journal with a secret in it.
        result = self.secrecy.of(flight.root).wire(result)
        if flight.wanted:
            self._runs.deliver(
                flight.run_id,
                flight.action.number,
                _packed(flight.action, result),
                by=flight.by,
                read=flight.read,
                is_recorded=flight.is_recorded,
            )
        elif self._runs.is_unfinished(flight.run_id):
            self._ledger.result(flight.run_id, flight.action.number, _packed(flight.action, result), late=True)

    def _forget(self, flight: Flight) -> None:
        flight.stop_timers()
        if flight.effect.mode == "engine":
            self.inside.forget(flight)
        self._flights.pop((flight.run_id, flight.action.number), None)
        numbers = self._by_run.get(flight.run_id)
        if numbers is not None:
            numbers.discard(flight.action.number)
            if not numbers:
                del self._by_run[flight.run_id]

    def _deliver(self, run_id: str, action: OpenAction, result: Wire) -> None:
        self._runs.deliver(run_id, action.number, _packed(action, result))

    def land(self, flight: Flight, result: Wire) -> None:
        """Gives an effect of mode ``engine`` the Result that it has waited for."""
        self._ended(flight, flight.generation, result)

    # -- people ----------------------------------------------------------------------------------------

    def _ask(self, flight: Flight, reason: str, text: str) -> None:
        if flight.asked != reason:
            flight.asked = reason
            self._ledger.append(
                flight.run_id.encode(), events.asked(self._ledger.now_ms, flight.action.number, reason, text)
            )
        self._runs.mark(flight.run_id, "waiting")
        people = self.people
        if people is not None:
            run_id, number = flight.run_id, flight.action.number
            # Nothing else may happen before the answer, so nobody else would close the batch.
            self._ledger.when_durable(lambda: people.asked(run_id, number, reason, text))

    def answer(self, run_id: str, number: int, text: str) -> bool:
        """Takes a person's answer; False if nothing of that number waits for one (yet)."""
        flight = self._flights.get((run_id, number))
        if flight is None or not flight.asked or not flight.wanted:
            return False
        self._runs.mark(run_id, "running")
        if flight.asked == ASKED_INPUT:
            self._land(flight, ok(text))
        elif flight.asked == ASKED_INTERRUPTED:
            flight.asked = ""
            if text.strip().lower() == REPEAT:
                self._repeat(flight)
            else:
                self._land(flight, err(interrupted_failure(flight)))
        return True

    def granted(self, root: RootState) -> None:
        """More was granted to a root: what waits for a grant is decided on again."""
        for flight in list(self._flights.values()):
            if flight.root is root and flight.asked == ASKED_GRANT and flight.wanted:
                flight.asked = ""  # what it still lacks is an event after this one
                self._runs.mark(flight.run_id, "running")
                self._note_begun(flight)
                self._begin(flight)

    # -- ends ------------------------------------------------------------------------------------------

    def abandon_root(self, root_id: str) -> list[asyncio.Task[None]]:
        """Cuts off all that is under way for a root and its descendants, and gives what has yet to end."""
        found = [flight for flight in self._flights.values() if root_of(flight.run_id) == root_id]
        tasks = [flight.task for flight in found if flight.task is not None]
        for flight in found:
            self.abandon(flight.run_id, flight.action.number)
        return tasks

    def abandon_idle(self, root_id: str) -> None:
        """Drops what nothing is being done for at this moment: it waits for its next attempt, or for a person."""
        for flight in [each for each in self._flights.values() if root_of(each.run_id) == root_id]:
            if not flight.is_under_way:
                self._forget(flight)

    def is_busy(self, root_id: str) -> bool:
        """Whether something is being done in the world for a root or its descendants."""
        return any(each.is_under_way for each in self._flights.values() if root_of(each.run_id) == root_id)

    def abandon(self, run_id: str, number: int | None) -> list[asyncio.Future[Any]]:
        """Cancels effects of a run, one or all; gives what has yet to end, of which is only noted what comes of it."""
        ending: list[asyncio.Future[Any]] = []
        for each in [number] if number is not None else list(self._by_run.get(run_id, ())):
            flight = self._flights.get((run_id, each))
            if flight is None or not flight.wanted:
                continue
            flight.wanted = False
            flight.context.cut_off.append(True)
            flight.stop_timers()
            if flight.task is not None:
                flight.task.cancel()
                ending.append(flight.task)
            if flight.thread is None:
                self._forget(flight)
            else:
                ending.append(asyncio.wrap_future(flight.thread))
        return ending

    async def stop(self) -> None:
        """Cuts off what runs on the loop, and lets it leave nothing behind: it may have run, and will be repeated."""
        self._stopping = True
        for flight in self._flights.values():
            flight.context.cut_off.append(True)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        await self._services.resources.close()

    def close(self) -> None:
        """Waits for what is under way in threads and takes its results: an effect is never cut off by us."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for flight in list(self._flights.values()):
            if flight.thread is not None and flight.thread.done() and not flight.thread.cancelled():
                self._ended(flight, flight.generation, flight.thread.result())
        for flight in list(self._flights.values()):
            flight.stop_timers()

    @property
    def under_way(self) -> int:
        """How many effects are being performed at this moment."""
        return sum(flight.is_under_way for flight in self._flights.values())


def _packed(action: OpenAction, result: Wire) -> bytes:
    try:
        return pack(result)
    except FlowmetalError as error:
        return pack(err(Failure("limit", f"{action.name}: {error.message}", flow=action.name, source=action.line)))
