"""Replaying unfinished runs against other code: what that asks for is compared with what the runs have asked for.

Nothing can be performed and nothing is written, for no engine stands behind these workers: of what they say only the
first difference counts, and that a run has come to the end of its history without one.  From there on it would do new
things; it is dropped.  A worker may lie about either, to no avail: a run that was let go on in error is stopped by its
next replay, as any is that differs from its journal.

The runs of one tree are replayed together, a few at a time; if their worker ends, nobody knows whose doing it was, and
the tree stays as it is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from flowmetal.engine.differences import Difference, difference, ill_fitting
from flowmetal.engine.exits import want_of_memory
from flowmetal.engine.handing import next_slice, replay_message
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.programs import Programs, Spawn
from flowmetal.engine.starting import code_of
from flowmetal.engine.supply import SourceProvider
from flowmetal.engine.table import HotRun, ProgramState, RootState
from flowmetal.errors import JournalError
from flowmetal.journal.headers import Header, program_digest
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import sort_key
from flowmetal.package_graph import PackageSource
from flowmetal.permissions.grants import GrantSet
from flowmetal.settings import Limits

_AT_ONCE: Final = 16
_MOST_DIFFERENCES: Final = 20
_INCARNATION: Final = 1


class _Remembering:
    """Sources whose every text is read once: all runs are compared with the same code."""

    def __init__(self, inner: SourceProvider) -> None:
        self._inner = inner
        self._texts: dict[str, str] = {}

    @property
    def packages(self) -> PackageSource | None:
        """Where packages come from; the lock sees to it that they are the same."""
        return self._inner.packages

    def text_of(self, label: str) -> str:
        """The text of a module.

        Raises:
            LanguageError: there is none.
        """
        if label not in self._texts:
            self._texts[label] = self._inner.text_of(label)
        return self._texts[label]


class Rehearsal:
    """Replays runs of a journal against the code of one main file; use it within a running loop, and ``close`` it.

    Args:
        journal: where the histories are.
        main: the label of the main file.
        sources: where the new code is.
        spawn: starts workers.
    """

    def __init__(self, journal: Journal, main: str, sources: SourceProvider, spawn: Spawn = WorkerProcess) -> None:
        self._journal = journal
        self._main = main
        self._sources = _Remembering(sources)
        self._programs = Programs(self._spoke, self._ended, lambda: None, spawn)
        self._loaded: dict[str, ProgramState] = {}
        self._waiting: deque[Header] = deque()
        self._found: list[Difference] = []
        self._over: asyncio.Future[None] | None = None

    def close(self) -> None:
        """Ends the workers."""
        self._programs.close()

    async def load(self, limits: Limits) -> ProgramState:
        """The new code, in a worker of these limits.

        Raises:
            LanguageError: it cannot be loaded.
        """
        key = str(sorted(limits.to_data().items()))
        known = self._loaded.get(key)
        if known is None or known.worker is None or not known.worker.is_alive:
            known = self._loaded[key] = await self._programs.load(self._main, self._sources, limits)
        return known

    async def replay(self, root: Header, program: ProgramState) -> tuple[int, list[Difference]]:
        """How many unfinished runs of a root's tree were compared, and the first difference of each that has one.

        Raises:
            JournalError: a record is damaged.
        """
        journal = self._journal
        facts = journal.facts(root.run_id)
        state = RootState(root, program, facts["nonce"], GrantSet(), facts["base_dir"], program.limits)
        below = sorted((each for each in journal.descendants(root.run_id)), key=lambda each: sort_key(each.run_id))
        headers = [root, *(each for each in below if not each.is_finished)]
        self._found = [found for each in headers if (found := ill_fitting(journal, each, program)) is not None]
        if self._found:
            return len(headers), self._found
        # The text of a run that is ending is not evaluated any more.
        self._waiting = deque(each for each in headers if not each.ending)
        self._over = asyncio.get_running_loop().create_future()
        self._give_more(state)
        try:
            await self._over
        finally:
            program.hot.clear()
        # The worker saw the runs in any order.
        self._found.sort(key=lambda each: sort_key(each.run_id))
        return len(headers), self._found

    # -- while runs are replayed -----------------------------------------------------------------------

    def _give_more(self, root: RootState) -> None:
        program, worker = root.program, root.program.worker
        if worker is None:
            return
        while self._waiting and len(program.hot) < _AT_ONCE:
            header = self._waiting.popleft()
            run = HotRun(header.run_id, header.run_id.encode(), header, root, _INCARNATION, worker)
            try:
                worker.send(replay_message(self._journal, run))
                program.hot[run.run_id] = run
                worker.send(next_slice(self._journal, run))
            except JournalError as error:
                self._stop(error)
                return
        worker.flush()
        if not program.hot and not self._waiting:
            self._stop(None)

    def _stop(self, error: JournalError | None) -> None:
        if self._over is None or self._over.done():
            return
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)

    def _spoke(self, worker: WorkerProcess, messages: Iterable[list[Any]]) -> None:
        for message in messages:
            run = self._run_of(worker, message)
            if run is None:
                continue
            if message[0] == "more":
                self._stream(run)
            elif message[0] in ("live", "done", "mismatch"):
                if message[0] == "live":
                    worker.send(["drop", run.run_id, run.incarnation])
                elif message[0] == "mismatch":
                    self._found.append(difference(self._journal, run, message))
                del run.root.program.hot[run.run_id]
                if len(self._found) >= _MOST_DIFFERENCES:
                    self._waiting.clear()
                self._give_more(run.root)
        worker.flush()

    def _run_of(self, worker: WorkerProcess, message: list[Any]) -> HotRun | None:
        for program in self._loaded.values():
            if program.worker is worker and len(message) > 2:
                return program.hot.get(message[1])
        return None

    def _stream(self, run: HotRun) -> None:
        if run.is_streaming:
            try:
                run.worker.send(next_slice(self._journal, run))
            except JournalError as error:
                self._stop(error)

    def _ended(self, program: ProgramState, reason: str) -> None:
        if not program.hot:
            return
        run = next(iter(program.hot.values()))
        message = f"the new code ended its worker: {reason}{want_of_memory(reason, program.limits)}"
        message += "" if len(program.hot) == 1 else f" (one of {len(program.hot)} runs that were replayed together)"
        self._found.append(
            Difference(run.run_id, run.header.name, message, "try it again; if it is so again, mend the new code")
        )
        self._stop(None)


def digest_of_program(program: ProgramState) -> str:
    """What a header calls the code graph of a loaded program."""
    return program_digest(code_of(program).items())
