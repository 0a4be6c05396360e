"""The engine's append buffer: the hot path of everything.

The engine alone numbers events, in one order over all its runs.  ``append`` only puts into a list; ``commit``
writes all that is buffered in one transaction, so what is durable is always a prefix of that order.  When the
store refuses, the buffer is kept: nothing was written, nothing is lost, and the engine decides (it ends).
"""

from __future__ import annotations

from collections.abc import Callable

from flowmetal.errors import InternalError
from flowmetal.journal import messages, meta
from flowmetal.journal.headers import Header, put_header, read_header
from flowmetal.journal.keys import pack_sequence
from flowmetal.journal.store import Store, Update

FIRST_SEQUENCE = 2
"""Sequence 1 is every root's ``started``, written by ``Journal.begin`` before any engine owns the run."""


class Writer:
    """Buffers events and all that belongs to them; one thread uses it.

    Args:
        store: where commits go.
        first_sequence: the number of the next event, at least 2.
        fence: called inside each transaction before it writes; it raises when the engine may write no more.
    """

    def __init__(
        self, store: Store, first_sequence: int = FIRST_SEQUENCE, fence: Callable[[], None] | None = None
    ) -> None:
        if first_sequence < FIRST_SEQUENCE:
            raise InternalError(f"an engine's first sequence is at least {FIRST_SEQUENCE}")
        self._store = store
        self._fence = fence
        self._next = first_sequence
        self._durable = first_sequence - 1
        self._events: list[tuple[bytes, bytes]] = []
        self._headers: dict[str, Header] = {}
        self._others: list[tuple[str, bytes, bytes]] = []
        self._mail: list[bytes] = []
        self._decisions: list[Callable[[Update], None]] = []
        # Run id → messages and bytes by which what it has not read grows or shrinks.
        self._counts: dict[str, tuple[int, int]] = {}
        # Root id → bytes of its tree's events and payloads, for who keeps a limit; see ``forget_written``.
        self.written: dict[bytes, int] = {}

    @property
    def pending(self) -> int:
        """How many records wait for ``commit``."""
        buffered = (self._events, self._headers, self._others, self._mail, self._counts, self._decisions)
        return sum(map(len, buffered))

    @property
    def next_sequence(self) -> int:
        """The number that the next event gets."""
        return self._next

    @property
    def durable_sequence(self) -> int:
        """The number up to which everything is durable."""
        return self._durable

    def append(self, run_id: bytes, event: bytes) -> int:
        """Buffer an event of a run; its sequence."""
        sequence = self._next
        self._next = sequence + 1
        self._events.append((run_id + b"\0" + pack_sequence(sequence), event))
        root = run_id.partition(b".")[0]
        self.written[root] = self.written.get(root, 0) + len(event)
        return sequence

    def put_header(self, header: Header) -> None:
        """Buffer a header; of one run only the last counts."""
        self._headers[header.run_id] = header

    def put_blob(self, key: bytes, value: bytes) -> None:
        """Buffer a payload, as ``externalize`` gives it."""
        self._others.append(("blobs", key, value))
        root = key.partition(b"\0")[0]
        self.written[root] = self.written.get(root, 0) + len(value)

    def put_code(self, digest: str, text: str) -> None:
        """Buffer a module's text under its hex sha256."""
        self._others.append(("code", bytes.fromhex(digest), text.encode()))

    def delete_mail(self, key: bytes) -> None:
        """Buffer the removal of a mail, for the transaction of the event it became."""
        self._mail.append(key)

    def decide(self, decision: Callable[[Update], None]) -> None:
        """Buffer what only the transaction can decide on: called within it, after all else was written."""
        self._decisions.append(decision)

    def count_messages(self, run_id: str, messages: int, size_bytes: int) -> None:
        """Buffer that a run has so many messages, of so many bytes, more to read than before, or fewer."""
        known = self._counts.get(run_id, (0, 0))
        self._counts[run_id] = (known[0] + messages, known[1] + size_bytes)

    def counted(self, run_id: str) -> tuple[int, int]:
        """What is buffered by ``count_messages``: messages and bytes."""
        return self._counts.get(run_id, (0, 0))

    def forget_written(self, root: bytes) -> None:
        """Stop counting what the tree of a root writes: it has ended, or is another engine's."""
        self.written.pop(root, None)

    def raise_sequence(self, to: int) -> None:
        """Let the next event have at least the number ``to`` + 1: above all events of an adopted run."""
        self._next = max(self._next, to + 1)

    def commit(self, work: Callable[[Update], None] | None = None) -> int:
        """Write everything buffered in one transaction; the last durable sequence.

        ``work`` is done at its beginning: it may read and write what others write too, and append.

        Raises:
            HomeError: nothing was written and the buffer is as before, but for what ``work`` has appended.
        """
        if self.pending or work is not None:
            with self._store.update() as update:
                if self._fence is not None:
                    self._fence()
                if work is not None:
                    work(update)
                self._write(update)
            self._events = []
            self._headers = {}
            self._others = []
            self._mail = []
            self._decisions = []
            self._counts = {}
        self._durable = self._next - 1
        return self._durable

    def _write(self, update: Update) -> None:
        if self._events:
            update.put_many("events", self._events)
        for table, key, value in self._others:
            update.put(table, key, value)
        if any(table == "code" for table, _, _ in self._others):
            meta.next_number(update, "code")
        for header in self._headers.values():
            # Only roots have index entries that may have to go.
            put_header(update, header, read_header(update, header.run_id) if header.is_root else None)
        for mail in self._mail:
            update.delete("mail", mail)
        for run_id, (more, size_bytes) in self._counts.items():
            messages.count(update, run_id, more, size_bytes)
        for decision in self._decisions:
            decision(update)
