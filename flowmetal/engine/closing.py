"""What the end of a run means for the runs of their own that it has started.

With ``parent_close`` other than "abandon", a start is noted in the transaction that begins the run
(``flowmetal/journal/closing.py``).  The transaction that ends its caller leaves mail for it, which works whoever drives
it; if nobody does, this engine takes it up, so that it does not stay as it is.
"""

from __future__ import annotations

from collections.abc import Callable

from flowmetal.engine.ledger import Ledger
from flowmetal.journal import closing
from flowmetal.journal.store import Update


class Closing:
    """Tells runs of their own that their caller has ended.

    Args:
        ledger: where it is written.
        closed: told of roots that have mail of this, once it is durable.
    """

    def __init__(self, ledger: Ledger, closed: Callable[[list[str]], None]) -> None:
        self._ledger = ledger
        self._closed = closed
        # Runs whose end closes others; all others cost nothing.
        self._closers: set[str] = set()

    def take_up(self, root_id: str) -> None:
        """Learns which runs of a tree that is taken up have started others."""
        with self._ledger.journal.store.view() as view:
            self._closers |= closing.closers(view, root_id)

    def note(self, run_id: str) -> None:
        """A run has started another whose end is to be its own."""
        self._closers.add(run_id)

    def end(self, run_id: str) -> None:
        """A run ends, in the transaction that this is told in."""
        if run_id not in self._closers:
            return
        self._closers.discard(run_id)
        roots: list[str] = []

        def decide(update: Update) -> None:
            roots[:] = closing.close(update, run_id)

        self._ledger.writer.decide(decide)
        self._ledger.when_durable(lambda: self._closed(roots))
