"""``continue_as_new``: a run begins a new life, under its id and with an empty history.

It is close to a further attempt (``attempts.py``): the run goes on counting its actions, so that no child and no
idempotency key ever comes twice, and replay begins behind the event that parts the lives.  But nothing is taken over,
and what the life before has left behind is removed (``flowmetal/journal/lives.py``) in the transaction of that event.
So killed before it, the run is where it was; and after it, it is new.
"""

from __future__ import annotations

from dataclasses import replace

from flowmetal.engine.cancelling import Cancelling
from flowmetal.engine.runs import Runs
from flowmetal.engine.table import HotRun, OpenAction
from flowmetal.journal import events, lives
from flowmetal.journal.store import Update


class Lives:
    """Begins new lives of runs.

    Args:
        runs: all runs of the engine.
        cancelling: takes the callers of a run off its thread.
    """

    def __init__(self, runs: Runs, cancelling: Cancelling) -> None:
        self._runs = runs
        self._ledger = runs.ledger
        self._cancelling = cancelling

    def continue_as_new(self, run: HotRun, action: OpenAction) -> None:
        """Begins the next life of a run that has nothing open but this action, with the arguments it names."""
        ledger, writer = self._ledger, self._ledger.writer
        run_id, life = run.run_id, run.header.life + 1
        self._runs.tell(lambda observer: observer.ended(run_id, action.number, True))
        self._cancelling.drop(run)
        kept = ledger.field(run_id, action.args)
        sequence = ledger.append(run.key, events.continued(ledger.now_ms, action.number, life, kept))

        def cut(update: Update) -> None:
            removed = lives.cut(update, run_id, sequence)
            writer.written[run.root_key] = max(0, writer.written.get(run.root_key, 0) - removed)

        writer.decide(cut)
        header = replace(
            run.header,
            status="running",
            life=life,
            life_seq=sequence,
            attempt=1,
            attempt_seq=sequence,
            attempt_base=action.number,
            wake_at_ms=None,
            wake_action=None,
            deaths=0,
            deferred=0,
        )
        self._runs.begin_life(header, run.root)
