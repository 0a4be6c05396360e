"""Pausing a run that this engine drives.

Its runs leave their workers at once, so that it asks for nothing more; effects under way go on, and their results are
recorded as ever.  When the last has ended, the run is let go.  The header says ``paused`` from the first moment: a kill
in between leaves a paused run, and of its effects what a kill always leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flowmetal.engine.effects import Effects
from flowmetal.engine.runs import Runs
from flowmetal.engine.table import RootState, StoppedRun
from flowmetal.journal import pausing
from flowmetal.journal.keys import root_of

_ENDING = ("cancel", "terminate")
_TAKEN = (*_ENDING, "grant", "pause")


class Pausing:
    """The roots that are being paused.

    Args:
        runs: all runs of the engine.
        effects: what is being done for them.
        stopped: lets go of a root that cannot go on here.
        take_up: goes on with a root as after a resume.
    """

    def __init__(
        self,
        runs: Runs,
        effects: Effects,
        stopped: Callable[[StoppedRun], None],
        take_up: Callable[[RootState], None],
    ) -> None:
        self._runs = runs
        self._take_up = take_up
        self._effects = effects
        self._stopped = stopped
        self._roots: dict[str, RootState] = {}

    def pause(self, root_id: str, reason: str, *, cut: bool) -> None:
        """Begins to pause a root; with ``cut`` its effects under way are cut off, as by a kill."""
        root = self._runs.roots.get(root_id)
        if root is None:
            return
        if not root.is_pausing:
            self._begin(root, reason)
        if cut and root.is_pausing:
            self._let_go(root_id)

    def _begin(self, root: RootState, reason: str) -> None:
        ledger = self._runs.ledger
        root_id = root.header.run_id
        # Effects that only wait for durability begin now, and are waited for: else nobody knew that they did not.
        ledger.settle()
        header = ledger.journal.header(root_id) if ledger.commit() else None
        if header is None or header.is_finished or self._runs.roots.get(root_id) is not root:
            return
        root.is_pausing = True
        root.header = replace(header, status="paused", paused_ms=ledger.now_ms, pause_reason=reason)
        self._runs.forget_tree(root_id)
        # What ends meanwhile still settles the keys that it holds.
        self._runs.once.take_up(root_id)
        self._effects.abandon_idle(root_id)
        ledger.put_header(root.header)
        self._roots[root_id] = root

    def keeps(self, run_id: str, message: dict[str, Any]) -> bool:
        """Whether a message must stay where it is for whoever takes the run up again.

        A part of it is not ended meanwhile: what cleans up after that would have to be evaluated.
        """
        root_id = root_of(run_id)
        if root_id not in self._roots:
            return False
        kind = message.get("kind")
        return kind not in _TAKEN or (kind in _ENDING and run_id != root_id)

    def give_way(self, root_id: str) -> None:
        """A root is to be ended: it is not paused any more, so that what cleans up after it can be evaluated."""
        root = self._roots.pop(root_id, None)
        if root is not None:
            root.is_pausing = False
            self._take_up(root)

    def let_go(self) -> None:
        """Lets go of the roots for which nothing is under way any more; called at the end of a turn."""
        for root_id, root in list(self._roots.items()):
            if self._runs.roots.get(root_id) is not root:
                del self._roots[root_id]  # it was cancelled meanwhile
            elif not self._effects.is_busy(root_id):
                self._let_go(root_id)

    def _let_go(self, root_id: str) -> None:
        root = self._roots.pop(root_id)
        self._stopped(StoppedRun(root_id, pausing.held(root.header)))

    def resumed(self, root_id: str) -> None:
        """Forgets requests to pause a root that were left before someone resumed it."""
        ledger = self._runs.ledger
        requests = [key for key, _, message in ledger.journal.mail_for([root_id]) if message.get("kind") == "pause"]
        for key in requests:
            ledger.writer.delete_mail(key)
        if requests:
            ledger.commit()  # before anyone looks for mail
