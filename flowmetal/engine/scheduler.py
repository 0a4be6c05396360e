"""Which runs are hot: gives runs to workers, evicts parked ones to make room, and sees to what a dead worker leaves
behind.

A worker's fault may be any of the runs that it was evaluating.  They go to a fresh worker one at a time, *alone* and
without inlining, so that the next death has one suspect; a run at whose third death since its last new event nobody
else is suspect ends as crashed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Final

from flowmetal.engine.cancelling import Cancelling
from flowmetal.engine.exits import want_of_memory
from flowmetal.engine.handing import next_slice, replay_message, start_message
from flowmetal.engine.runs import Runs
from flowmetal.engine.table import ColdWait, HotRun, ProgramState, Start, StoppedRun
from flowmetal.errors import JournalError
from flowmetal.journal.headers import Header
from flowmetal.values import Failure

MAX_DEATHS: Final = 3
_EVICT_AT_ONCE: Final = 16


class Scheduler:
    """Gives the runs of ``runs`` to workers.

    Args:
        cancelling: ends what a run that crashed has started.
        ensure_worker: sees that a program has a worker which is loaded, or will be; true if it is ready now.
        stopped: told of a run whose records are damaged.
        want_turn: sees that ``pump`` is called; asked whenever a run is made ready.
    """

    def __init__(
        self,
        runs: Runs,
        cancelling: Cancelling,
        ensure_worker: Callable[[ProgramState], bool],
        stopped: Callable[[StoppedRun], None],
        want_turn: Callable[[], None],
    ) -> None:
        self._want_turn = want_turn
        self._runs = runs
        self._cancelling = cancelling
        self._stopped = stopped
        self._ensure_worker = ensure_worker
        self._programs: dict[int, ProgramState] = {}
        self._incarnation = 0

    def enqueue(self, start: Start) -> None:
        """Makes a run ready; ``pump`` starts it."""
        program = start.root.program
        program.ready.append(start)
        self._programs[id(program)] = program
        self._want_turn()

    def enqueue_alone(self, start: Start) -> None:
        """Makes a run ready that must not share a worker with another that is being evaluated."""
        program = start.root.program
        program.alone.append(start)
        self._programs[id(program)] = program
        self._want_turn()

    def pump(self) -> None:
        """Starts what is ready, as far as there is room; asks parked runs to leave if there is none."""
        for program in list(self._programs.values()):
            if not program.ready and not program.alone:
                del self._programs[id(program)]
            elif self._ensure_worker(program):
                self._pump_program(program)

    def _pump_program(self, program: ProgramState) -> None:
        # What is left here waits for a run that is being evaluated: its next word or its end is a turn.  One that is
        # not to be given any more says nothing, so those after it have their go at once.
        while program.alone:
            if any(run.is_executing for run in program.hot.values()):
                return
            if self._begin(program.alone.popleft(), alone=True):
                return
        if any(run.alone and run.is_executing for run in program.hot.values()):
            return
        room = program.limits.hot_runs - len(program.hot)
        while program.ready and room > 0:
            if self._begin(program.ready.popleft()):
                room -= 1
        if program.ready:
            self._make_room(program, min(len(program.ready), _EVICT_AT_ONCE))

    def _make_room(self, program: ProgramState, wanted: int) -> None:
        for run_id in list(islice(program.parked, 4 * wanted)):
            run = program.hot[run_id]
            if run.evicting:
                wanted -= 1
            else:
                run.evicting = True
                run.worker.send(["evict", run_id, run.incarnation])
                wanted -= 1
            if wanted <= 0:
                return

    # -- starting --------------------------------------------------------------------------------------

    def next_incarnation(self) -> int:
        """A number for one more hot life."""
        self._incarnation += 1
        return self._incarnation

    def _begin(self, start: Start, alone: bool = False) -> bool:
        """Gives a run to its worker; False if it is not to be given (any more)."""
        try:
            return self._give(start, alone)
        except JournalError as error:
            self._stopped(StoppedRun(start.run_id, error))
            return False

    def _give(self, start: Start, alone: bool) -> bool:
        runs = self._runs
        run_id = start.run_id
        if run_id in runs.hot or start.root.header.run_id not in runs.roots or start.root.is_pausing:
            return False
        fresh = start.fresh
        if fresh is not None:
            if run_id not in runs.fresh:
                return False  # it was ended before it began
            runs.fresh.discard(run_id)
        elif not runs.ledger.commit():
            return False
        header = fresh.header if fresh is not None else runs.ledger.journal.header(run_id)
        worker = start.root.program.worker
        if header is None or header.is_finished or header.ending or worker is None:
            return False
        runs.cold.pop(run_id, None)
        run = HotRun(run_id, run_id.encode(), header, start.root, self.next_incarnation(), worker, alone=alone)
        run.modules = fresh.modules if fresh is not None else ()
        runs.hot[run_id] = run
        start.root.program.hot[run_id] = run
        may_inline = not runs.parallel.is_limited(run_id)
        if fresh is not None:
            about = header.flow, header.name, fresh.args, header.created_ms, fresh.line
            worker.send(start_message(run, *about, replay=False, may_inline=may_inline))
            return True
        worker.send(replay_message(runs.ledger.journal, run, may_inline=may_inline))
        self.stream(run)
        return True

    def stream(self, run: HotRun) -> None:
        """Sends the next slice of a run's history."""
        ledger = self._runs.ledger
        if not run.is_streaming or not ledger.commit():
            return
        run.worker.send(next_slice(ledger.journal, run))

    # -- going cold ------------------------------------------------------------------------------------

    def evicted(self, run: HotRun) -> None:
        """A run has left its worker: remember what it waits for, or make it ready again."""
        waits_for = set(run.parked or ())
        if run.inline_child:
            waits_for.add(int(run.inline_child.rpartition(".")[2]))
        any_of = waits_for if run.any_wakes else {n for action in run.open.values() for n in action.missing}
        busy = run.answered or not waits_for
        sleeping = run.header.wake_action is not None and run.header.wake_action in waits_for
        self._drop(run)
        if busy or run.is_streaming:
            self.enqueue(Start(run.run_id, run.root))
        elif any_of or not sleeping:
            self._runs.cold[run.run_id] = ColdWait(run.root, waits_for, any_of)

    def _drop(self, run: HotRun) -> None:
        self._runs.hot.pop(run.run_id, None)
        run.root.program.hot.pop(run.run_id, None)
        run.root.program.parked.pop(run.run_id, None)

    def worker_ended(self, program: ProgramState, reason: str) -> None:
        """Sees to the runs of a worker that is no more."""
        program.worker = None
        program.is_loaded = False
        suspects = sum(run.is_executing for run in program.hot.values())
        for run in list(program.hot.values()):
            if not run.is_executing:
                self.evicted(run)
                continue
            self._drop(run)
            header = replace(run.header, deaths=run.header.deaths + 1)
            if header.deaths >= MAX_DEATHS and suspects == 1:
                self._crash(run, header, reason)
                continue
            self._runs.ledger.put_header(header)
            if header.is_root and run.run_id in self._runs.roots:
                self._runs.roots[run.run_id].header = header
            self.enqueue_alone(Start(run.run_id, run.root))

    def _crash(self, run: HotRun, header: Header, reason: str) -> None:
        flow = run.root.program.flows.get(header.flow)
        message = f"{header.name} ended its worker {MAX_DEATHS} times: {reason}"
        message += want_of_memory(reason, run.root.limits)
        source = flow.place if flow is not None else ""
        failure = Failure("crashed", message, {"dict": ["reason", reason]}, header.name, source)
        self._runs.ledger.put_header(header)
        if self._runs.ledger.commit():
            self._cancelling.end_tree(header, failure, "it ended its worker")
