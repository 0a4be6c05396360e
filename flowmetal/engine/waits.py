"""The waits that the engine answers: a ``wait`` with a timeout, and ``wait_any``.

Both can see an order of arrival, so their answer is an event.  A run waits in one place, so it has one of them at most;
it is remembered while the run is hot and while it is cold, and found again in the journal after a resume.
"""

from __future__ import annotations

from collections.abc import Callable

import msgpack

from flowmetal.engine.ledger import Ledger
from flowmetal.engine.table import HotRun, OpenAction, PendingWait
from flowmetal.engine.timers import Timers
from flowmetal.values import Wire, ok, pack


class Waits:
    """What runs wait for.

    Args:
        ledger: says what time it is.
        timers: ends a wait whose patience is up.
        deliver: gives a run the encoded Result of an action.
    """

    def __init__(self, ledger: Ledger, timers: Timers, deliver: Callable[[str, int, bytes], None]) -> None:
        self.pending: dict[str, PendingWait] = {}
        self._ledger = ledger
        self._timers = timers
        self._deliver = deliver

    def open(self, run: HotRun, action: OpenAction) -> None:
        """Takes up a wait, unless it is known from an earlier life of the run; answers at once if it can."""
        if run.run_id in self.pending:
            return
        number = action.number
        numbers, timeout = msgpack.unpackb(action.args)
        done = {n for n in numbers if n in run.task_results}
        wait = PendingWait(number, action.verb == "wait_any", numbers, set(numbers) - done)
        self.pending[run.run_id] = wait
        if wait.is_any and done:
            self._answer(run.run_id, wait, numbers.index(_first_arrived(run.task_results, done)))
        elif not wait.is_any and not wait.missing:
            self._answer(run.run_id, wait, [True] * len(numbers))
        elif action.due_ms is not None:
            # A clock that was set back must not make it longer than it was.
            seconds = min((action.due_ms - self._ledger.now_ms) / 1_000, timeout)
            self._timers.after(run.run_id, number, max(0.0, seconds))

    def advance(self, run_id: str, number: int) -> None:
        """Action ``number`` of a run has a result."""
        wait = self.pending.get(run_id)
        if wait is None or number not in wait.missing:
            return
        wait.missing.discard(number)
        if wait.is_any:
            self._answer(run_id, wait, wait.numbers.index(number))
        elif not wait.missing:
            self._answer(run_id, wait, [True] * len(wait.numbers))

    def timer_fired(self, run_id: str, number: int) -> bool:
        """The patience of a wait is up; False if action ``number`` is none."""
        wait = self.pending.get(run_id)
        if wait is None or wait.number != number:
            return False
        self._answer(run_id, wait, None if wait.is_any else [n not in wait.missing for n in wait.numbers])
        return True

    def forget(self, run_id: str) -> None:
        """Drops what is in memory of a run."""
        self.pending.pop(run_id, None)

    def _answer(self, run_id: str, wait: PendingWait, answer: Wire) -> None:
        del self.pending[run_id]
        self._timers.cancel(run_id, wait.number)
        self._deliver(run_id, wait.number, pack(ok(answer)))


def _first_arrived(task_results: dict[int, bytes], done: set[int]) -> int:
    """The one of the tasks ``done`` whose result came first.

    Looks from the newest result back: a run that takes results as they come has left none of old behind, so this does
    not grow with what the run has done.
    """
    left = len(done)
    for number in reversed(task_results):
        left -= number in done
        if not left:
            return number
    raise ValueError("a task that is done has no result")
