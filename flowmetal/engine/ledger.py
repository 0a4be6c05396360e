"""Appending and committing: when what is known becomes durable.

Group commit: a batch closes when someone waits for it — an effect that is about to start, an answer about to be shown
— or 5 ms after its first event.  Commit and effects share the engine's one thread, which was measured to be faster
than handing batches to another: the handing over costs more than the disk.

Output-commit rule: ``when_durable`` is the only way by which anything leaves the engine for the world.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from flowmetal.clock import Clock
from flowmetal.errors import HomeError
from flowmetal.journal import events
from flowmetal.journal.blobs import externalize
from flowmetal.journal.framing import Field
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of
from flowmetal.journal.store import Update
from flowmetal.journal.writer import Writer

COMMIT_DELAY_SECONDS: Final = 0.005
_COMMIT_AT: Final = 2_000
_INLINE_BYTES: Final = 16 * 1024


class Ledger:
    """The engine's pen.

    Args:
        on_failure: the store refused; nothing may be assumed after it, so the engine ends with this error.
        fence: raises inside a transaction when another engine may have taken this one for dead.
        want_turn: sees that ``settle`` is called; asked by everything that is left for it.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        on_failure: Callable[[HomeError], None],
        fence: Callable[[], None],
        want_turn: Callable[[], None],
    ) -> None:
        self.journal = journal
        self.writer = Writer(journal.store, fence=fence)
        self._clock = clock
        self._on_failure = on_failure
        self._want_turn = want_turn
        self._waiting: deque[Callable[[], None]] = deque()
        self._after_commit: list[Callable[[], None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self.failed = False
        self.commit_at = _COMMIT_AT
        self.now_ms = int(clock.now() * 1_000)

    def tick(self) -> None:
        """Looks at the clock: events of one turn of the loop carry the same time."""
        self.now_ms = int(self._clock.now() * 1_000)

    # -- appending -------------------------------------------------------------------------------------

    def field(self, run_id: str, value: bytes) -> Field:
        """What an event holds of a value: itself, or a reference to the blob that is put beside it."""
        if len(value) <= _INLINE_BYTES:
            return value
        kept, blobs = externalize(value, root_of(run_id))
        for key, data in blobs:
            self.writer.put_blob(key, data)
        return kept

    def append(self, key: bytes, event: bytes) -> int:
        """Appends an event of the run whose id, encoded, is ``key``; its sequence."""
        return self.writer.append(key, event)

    def action(self, run_id: str, key: bytes, number: int, callee: str, args: bytes, line: str, **more: Any) -> int:
        """Appends an ``action``; ``more`` are value, due_ms, deps, name."""
        return self.writer.append(
            key, events.action(self.now_ms, number, callee, self.field(run_id, args), line, **more)
        )

    def result(self, run_id: str, number: int, value: bytes, **more: Any) -> int:
        """Appends a ``result``; ``more`` are late, by, taken_from, read."""
        return self.writer.append(
            run_id.encode(), events.result(self.now_ms, number, self.field(run_id, value), **more)
        )

    def put_header(self, header: Header) -> None:
        """Writes a header with the batch."""
        self.writer.put_header(header)

    # -- committing ------------------------------------------------------------------------------------

    def when_durable(self, then: Callable[[], None]) -> None:
        """Calls ``then`` once everything appended so far is durable."""
        self._waiting.append(then)
        self._want_turn()

    def after_commit(self, then: Callable[[], None]) -> None:
        """As ``when_durable``, for someone who is in no hurry: no batch is closed for it."""
        self._after_commit.append(then)

    def settle(self) -> None:
        """Ends a turn of the loop: commits if someone waits, and lets them go; else sees that it happens soon.

        What a callback appends may make others wait, so this goes round until nobody does.
        """
        while self._waiting and not self.failed:
            if not self.commit():
                return
            ready, self._waiting = self._waiting, deque()
            for then in ready:
                then()
        if self.writer.pending >= self.commit_at:
            self.commit()
        elif (self.writer.pending or self._after_commit) and self._timer is None and not self.failed:
            self._timer = asyncio.get_running_loop().call_later(COMMIT_DELAY_SECONDS, self._late_commit)

    def commit(self, work: Callable[[Update], None] | None = None) -> bool:
        """Makes everything appended durable; False, after telling ``on_failure``, when the store refuses.

        ``work`` is done in the same transaction, before: what it decides by what others write holds when it is
        recorded.  It may append, and must not call back into the engine.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.failed:
            return False
        if self.writer.pending or work is not None:
            try:
                self.writer.commit(work)
            except HomeError as error:
                self.failed = True
                self._on_failure(error)
                return False
        if self._after_commit:
            ready, self._after_commit = self._after_commit, []
            for then in ready:
                then()
        return True

    def _late_commit(self) -> None:
        self._timer = None
        self.commit()
