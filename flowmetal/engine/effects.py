"""The one gate: an effect is decided on here, and performed with the decision in hand once all before it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from flowmetal.actions.effect import Effect, EffectContext, EffectFailure
from flowmetal.actions.registry import Registry
from flowmetal.engine.runs import Runs
from flowmetal.engine.table import HotRun, OpenAction
from flowmetal.errors import FlowmetalError
from flowmetal.identity import idempotency_key
from flowmetal.journal import events
from flowmetal.journal.keys import root_of
from flowmetal.permissions.decision import Allowed, Denied, decide_all
from flowmetal.values import Failure, Wire, err, ok, pack

_MAX_THREADS: Final = 16
_Key = tuple[str, int]


class Effects:
    """Performs effects.

    Args:
        runs: where results are delivered.
        registry: the effects there are.
        protected: directories that no grant opens: the home, its journal.
        settle: ends a turn of the loop after results came from another thread.
    """

    def __init__(self, runs: Runs, registry: Registry, protected: tuple[str, ...], settle: Callable[[], None]) -> None:
        self._runs = runs
        self._registry = registry
        self._protected = protected
        self._settle = settle
        self._threads: ThreadPoolExecutor | None = None
        # Under way or about to be; False once cancelled: the result, if it comes, is only noted.
        self._in_flight: dict[_Key, bool] = {}
        self._by_run: dict[str, set[int]] = {}
        self._in_threads: dict[_Key, tuple[OpenAction, Future[Wire]]] = {}

    def perform(self, run: HotRun, action: OpenAction, args: list[Wire], kwargs: list[Wire]) -> None:
        """Decides on an effect and, if it is granted, performs it as soon as its action is durable."""
        key = (run.run_id, action.number)
        if self._in_flight.get(key):
            return  # started in an earlier life of the run, by this engine
        context = EffectContext(idempotency_key(run.root.nonce, *key), run.root.base_dir, action.target)
        try:
            effect, bound = self._registry.bind(action.target, args, dict(zip(kwargs[::2], kwargs[1::2], strict=True)))
            decision = decide_all(run.root.grants, effect.want(bound, context), protected=self._protected)
        except EffectFailure as error:
            self._deliver(run.run_id, action, err(error.to_failure(action.name, action.line)))
            return
        if isinstance(decision, Denied):
            details = {"dict": ["option", decision.option]}
            self._deliver(
                run.run_id, action, err(Failure("denied", decision.message, details, action.name, action.line))
            )
            return
        if action.is_reopened:
            self._runs.ledger.append(run.key, events.attempt(self._runs.ledger.now_ms, action.number, 1, True))
        self._in_flight[key] = True
        self._by_run.setdefault(run.run_id, set()).add(action.number)
        self._runs.ledger.when_durable(lambda: self._execute(run.run_id, action, effect, decision, bound, context))

    def abandon(self, run_id: str, number: int | None) -> list[int]:
        """Cancels effects in flight of a run, one or all: what comes of them is only noted.  Gives their numbers."""
        numbers = [number] if number is not None else list(self._by_run.get(run_id, ()))
        abandoned = [each for each in numbers if self._in_flight.get((run_id, each))]
        for each in abandoned:
            self._in_flight[(run_id, each)] = False
        return abandoned

    def close(self) -> None:
        """Waits for what is under way in threads and takes its results: an effect is never cut off by us."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
        for (run_id, _), (action, future) in list(self._in_threads.items()):
            if not future.cancelled():
                self._landed(run_id, action, future.result())

    @property
    def under_way(self) -> int:
        """How many effects have been started and not ended."""
        return len(self._in_flight)

    def _execute(
        self,
        run_id: str,
        action: OpenAction,
        effect: Effect,
        allowed: tuple[Allowed, ...],
        args: dict[str, Wire],
        context: EffectContext,
    ) -> None:
        if not self._in_flight.get((run_id, action.number)):
            self._landed(run_id, action, None)  # cancelled before it began
        elif effect.mode == "inline":
            self._landed(run_id, action, _attempt(effect, allowed, args, context, action))
        else:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="effect")
            future = self._threads.submit(_attempt, effect, allowed, args, context, action)
            loop = asyncio.get_running_loop()
            self._in_threads[(run_id, action.number)] = (action, future)

            def done(finished: Future[Wire]) -> None:
                if not finished.cancelled():
                    loop.call_soon_threadsafe(self._came, run_id, action, finished.result())

            future.add_done_callback(done)

    def _came(self, run_id: str, action: OpenAction, result: Wire) -> None:
        if (run_id, action.number) in self._in_threads:
            self._runs.ledger.tick()
            self._landed(run_id, action, result)
            self._settle()

    def _landed(self, run_id: str, action: OpenAction, result: Wire) -> None:
        self._in_threads.pop((run_id, action.number), None)
        wanted = self._in_flight.pop((run_id, action.number), False)
        numbers = self._by_run.get(run_id)
        if numbers is not None:
            numbers.discard(action.number)
            if not numbers:
                del self._by_run[run_id]
        if root_of(run_id) not in self._runs.roots:
            return  # stopped meanwhile, and perhaps another engine's by now
        if wanted:
            self._deliver(run_id, action, result)
        elif result is not None and self._runs.is_unfinished(run_id):
            self._runs.ledger.result(run_id, action.number, _packed(action, result), late=True)

    def _deliver(self, run_id: str, action: OpenAction, result: Wire) -> None:
        self._runs.deliver(run_id, action.number, _packed(action, result))


def _packed(action: OpenAction, result: Wire) -> bytes:
    try:
        return pack(result)
    except FlowmetalError as error:
        return pack(err(Failure("limit", f"{action.name}: {error.message}", flow=action.name, source=action.line)))


def _attempt(
    effect: Effect, allowed: tuple[Allowed, ...], args: dict[str, Wire], context: EffectContext, action: OpenAction
) -> Wire:
    try:
        return ok(effect.perform(allowed, args, context))
    except EffectFailure as error:
        return err(error.to_failure(action.name, action.line))
    except Exception as error:
        # A fault of the effect's own code ends this action, not the engine; the text names the type for the bug report.
        return err(
            Failure(
                "effect",
                f"{action.name} failed unexpectedly: {type(error).__name__}: {error}",
                flow=action.name,
                source=action.line,
            )
        )
