"""Programs and the workers that serve them: spawning, loading, watching over time."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

from flowmetal.engine.exits import too_much_cpu, want_of_memory
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.supply import SourceProvider, answer, first_of, pinned_rules, placed
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError, LanguageError
from flowmetal.language.diagnostics import Diagnostic
from flowmetal.language.flows import FlowInfo
from flowmetal.language.labels import short_name
from flowmetal.settings import Limits

_MAX_FAILED_LOADS: Final = 3
_MOST_UNUSED: Final = 4
_WATCH_SECONDS: Final = 1.0
"""How often is looked at what computes, unless a limit of its time is shorter than that."""
_MAX_VERSIONS: Final = 16
_MAX_VERSION: Final = 100


class Spawn(Protocol):
    """Starts a worker process; ``WorkerProcess`` is one."""

    def __call__(
        self,
        limits: Limits,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[WorkerProcess, str], None],
        /,
    ) -> WorkerProcess:
        """A worker that is being started; see ``WorkerProcess``."""
        ...


class Programs:
    """All programs of an engine.

    Args:
        on_messages: takes messages of runs.
        on_end: told that a program's worker is no more, and why.
        ready: told that a program's worker can take runs.
        spawn: starts a worker; tests put one in that dies when they want.
    """

    def __init__(
        self,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[ProgramState, str], None],
        ready: Callable[[], None],
        spawn: Spawn = WorkerProcess,
    ) -> None:
        self._on_messages = on_messages
        self._on_end = on_end
        self._ready = ready
        self._spawn = spawn
        self._states: dict[str, ProgramState] = {}
        self._by_worker: dict[WorkerProcess, ProgramState] = {}
        self._loading: dict[int, asyncio.Future[None]] = {}
        self._providers: dict[int, SourceProvider] = {}
        self._watching: asyncio.TimerHandle | None = None

    async def load(self, main: str, provider: SourceProvider, limits: Limits) -> ProgramState:
        """A program from its main label, every module of it fetched from ``provider``.

        Raises:
            LanguageError: it cannot be loaded.
        """
        program = ProgramState(main, {}, limits)
        self._providers[id(program)] = provider
        loaded = asyncio.get_running_loop().create_future()
        self._loading[id(program)] = loaded
        self.ensure_worker(program)
        try:
            await loaded
        finally:
            if program.resolving is not None:
                program.resolving.cancel()
            del self._loading[id(program)]
            del self._providers[id(program)]
        return program

    def pinned(
        self, key: str, main: str, sources: Callable[[], dict[str, str]], limits: Limits, packages: list[list[str]]
    ) -> ProgramState:
        """The program of a recorded run; ``key`` tells programs apart, ``sources`` reads the pinned code."""
        state = self._states.pop(key, None)
        if state is None or state.failed_loads >= _MAX_FAILED_LOADS:
            # Those that could not go on for want of it were given up; who asks now may be luckier.
            state = ProgramState(main, sources(), limits, rules=pinned_rules(packages))
        self._states[key] = state
        return state

    def remember(self, key: str, program: ProgramState) -> None:
        """Makes a program that was loaded from files the one for runs pinned to the same code."""
        self._states.setdefault(key, program)

    def let_go(self, used: Collection[int]) -> None:
        """Ends the workers of programs that no run needs, but for the last few: the next run may be of one of them.

        ``used`` are the ``id`` of the programs that runs need.
        """
        unused = [key for key, state in self._states.items() if id(state) not in used]
        for key in unused[: max(0, len(unused) - _MOST_UNUSED)]:
            state = self._states.pop(key)
            worker, state.worker, state.is_loaded = state.worker, None, False
            if worker is not None:
                self._by_worker.pop(worker, None)
                worker.stop()

    def ensure_worker(self, program: ProgramState) -> bool:
        """Sees that a program has a worker; whether it can take runs now."""
        if program.worker is None:
            if program.failed_loads >= _MAX_FAILED_LOADS:
                return False
            worker = self._spawn(program.limits, self._handle, self._ended)
            program.worker = worker
            self._by_worker[worker] = program
            # What does not fit one frame the worker asks for.
            worker.send(["program", program.main, first_of(program.sources, list(program.sources)), program.rules])
            worker.flush()
            self._watch()
        return program.is_loaded

    def worker_pids(self) -> list[int]:
        """The process ids of the workers that live."""
        return [worker.pid for worker in self._by_worker]

    def flush(self) -> None:
        """Writes what is queued for all workers."""
        for worker in self._by_worker:
            worker.flush()

    def close(self, *, keep_workers: bool = False) -> None:
        """Ends all workers, or lets go of them."""
        if self._watching is not None:
            self._watching.cancel()
        for worker in [] if keep_workers else list(self._by_worker):
            worker.stop()
        self._by_worker.clear()

    # -- messages --------------------------------------------------------------------------------------

    def _handle(self, worker: WorkerProcess, messages: list[list[Any]]) -> None:
        program = self._by_worker.get(worker)
        if program is None:
            return
        if program.is_loaded:
            self._on_messages(worker, messages)
            return
        for message in messages:
            self._handle_loading(program, worker, message)

    def _handle_loading(self, program: ProgramState, worker: WorkerProcess, message: list[Any]) -> None:
        kind = message[0]
        if kind == "hello":
            versions = list(message[1].items())[:_MAX_VERSIONS]
            program.versions = {str(name)[:_MAX_VERSION]: str(value)[:_MAX_VERSION] for name, value in versions}
        elif kind == "need":
            answer(program, self._providers.get(id(program)), message[1], worker)
        elif kind == "loaded":
            try:
                flows = [FlowInfo.from_data(each) for each in message[1]]
            except (FlowmetalError, ValueError, TypeError, KeyError):
                worker.kill("it sent flows that are none")
                return
            labels = message[2]
            known = all(type(label) is str and label in program.sources for label in labels)
            if not known or program.main not in labels:
                worker.kill("it sent labels of other modules than it was given")
                return
            program.flows = {flow.reference: flow for flow in flows}
            program.labels = labels
            program.is_loaded = True
            program.failed_loads = 0
            self._loaded(program, None)
            self._ready()
        elif kind == "invalid":
            parts = [str(part) for part in message[1][:5]]
            found = Diagnostic(*(parts or ["the program cannot be loaded"])).to_error()
            self._loaded(program, found if program.refusal is None else placed(program.refusal, found))
        elif kind != "fault":
            worker.kill(f"it sent {kind} before its program was loaded")

    def _loaded(self, program: ProgramState, error: FlowmetalError | None) -> None:
        loading = self._loading.get(id(program))
        if loading is not None and not loading.done():
            if error is None:
                loading.set_result(None)
            else:
                loading.set_exception(error)
        elif error is not None and program.worker is not None:
            program.worker.kill(f"the pinned program cannot be loaded: {error.message}")

    def _ended(self, worker: WorkerProcess, reason: str) -> None:
        program = self._by_worker.pop(worker, None)
        if program is None:
            return
        if not program.is_loaded:
            program.failed_loads += _MAX_FAILED_LOADS if worker.refusal is not None else 1
        program.worker = None
        loading = self._loading.get(id(program))
        if loading is not None and not loading.done() and program.failed_loads < _MAX_FAILED_LOADS:
            # It may not have been the program's doing.
            self.ensure_worker(program)
            return
        if not program.is_loaded:
            words = f"the program cannot be loaded: {reason}{want_of_memory(reason, program.limits)}"
            self._loaded(program, worker.refusal or LanguageError(words, place=short_name(program.main)))
        self._on_end(program, reason)

    # -- time ------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        if self._watching is None:
            watched = [program.limits for program in self._by_worker.values()]
            shortest = min((min(each.evaluation_seconds, each.cpu_seconds) for each in watched), default=_WATCH_SECONDS)
            self._watching = asyncio.get_running_loop().call_later(min(_WATCH_SECONDS, shortest), self._look)

    def _look(self) -> None:
        self._watching = None
        now = time.monotonic()
        for worker, program in list(self._by_worker.items()):
            loading = not program.is_loaded and program.resolving is None
            busy = loading or any(run.is_executing for run in program.hot.values())
            if not busy:
                worker.last_heard = now
            if not busy or not worker.is_heard_out:
                continue
            limits = program.limits
            cpu = worker.cpu_seconds()
            if now - worker.last_heard > limits.evaluation_seconds:
                worker.kill(f"it computed for more than {limits.evaluation_seconds:g} seconds without an action")
            elif cpu is not None and cpu - worker.cpu_at_last_heard > limits.cpu_seconds:
                worker.kill(too_much_cpu(limits))
        if self._by_worker:
            self._watch()


def program_key(program_digest: str, grants_digest: str, limits: Limits) -> str:
    """What tells the programs of an engine apart: the code graph, the grants, the limits."""
    return hashlib.sha256(f"{program_digest}|{grants_digest}|{sorted(limits.to_data().items())}".encode()).hexdigest()
