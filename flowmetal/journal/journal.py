"""The journal as the engine, the command line and tools see it.

Reading is open to any process at any time and never holds a snapshot while the caller works.  Writing history
is the engine's alone, through ``Writer``; everything else that writes is here and is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flowmetal.clock import Clock
from flowmetal.errors import UnknownRunError, did_you_mean
from flowmetal.journal import (
    blobs,
    code_change,
    event_reading,
    garbage,
    mail,
    meta,
    pausing,
    reading,
    starting,
    transfer,
)
from flowmetal.journal.events import Event
from flowmetal.journal.framing import Field
from flowmetal.journal.garbage import GcCounts
from flowmetal.journal.headers import Header, decode_header, read_header
from flowmetal.journal.keys import descendants_range, events_range, own_range, place_of, root_of, sequence_of
from flowmetal.journal.mail import Message
from flowmetal.journal.starting import Begun, StartRequest
from flowmetal.journal.store import Store, pages
from flowmetal.journal.verify import Problem, verify


class Journal:
    """All runs of one home.

    Args:
        store: where the bytes are.
        home: the directory that holds ``engines/`` with the engines' lock files.
        clock: for the age of runs and the length of write slices.

    Raises:
        HomeError: the home is of a newer format.
        JournalError: its format record is damaged.
    """

    def __init__(self, store: Store, home: Path, clock: Clock) -> None:
        self.store = store
        self.home = home
        self._clock = clock
        meta.check_format(store, self._now_ms())

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)

    # -- reading ---------------------------------------------------------------------------------------

    def header(self, run_id: str) -> Header | None:
        """The header of a run, or None; JournalError when it is damaged."""
        with self.store.view() as view:
            return read_header(view, run_id)

    def require(self, run_id: str) -> Header:
        """The header of a run.

        Raises:
            UnknownRunError: no such run; names the id that was likely meant.
        """
        header = self.header(run_id)
        if header is not None:
            return header
        known = reading.likely_ids(self.store, run_id)
        raise UnknownRunError(
            f"there is no run `{run_id}`{did_you_mean(run_id, known)}", remedy="`flowmetal ps` lists them"
        )

    def history(self, run_id: str, after_sequence: int = 0) -> Iterator[tuple[int, Event]]:
        """(sequence, event) of one run in order; payloads above 16 KiB as references (see ``payload``).

        Raises:
            JournalError: at a damaged event, after those before it; its place is the key.
        """
        for page in pages(self.store, "events", *events_range(run_id, after_sequence)):
            for key, data in page:
                yield sequence_of(key), event_reading.decode(data, place_of("events", key))

    def raw_history(self, run_id: str, after_sequence: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """One slice of a history for a worker: (sequence, MessagePack map with keys of one letter).

        Payloads are put in, checksums verified.  The slice ends with the event that passes ``max_bytes``; it is
        empty only when there is no later event.

        Raises:
            JournalError: an event or payload is damaged; its place is the key.
        """
        return reading.raw_history(self.store, run_id, after_sequence, max_bytes)

    def payload(self, run_id: str, field: Field) -> bytes:
        """The codec bytes of an ``args``, ``value`` or ``result`` of that run, wherever they are kept.

        Raises:
            JournalError: the payload is missing or damaged.
        """
        with self.store.view() as view:
            return blobs.load(view, root_of(run_id), field)

    def last_sequence(self, run_id: str) -> int:
        """The sequence of a run's last event, 0 without one."""
        with self.store.view() as view:
            last = next(view.scan("events", *own_range(run_id), reverse=True), None)
        return sequence_of(last[0]) if last is not None else 0

    def last_action(self, run_id: str) -> Event | None:
        """The latest ``action`` event of a run, or None; JournalError when it, or one after it, is damaged."""
        return reading.last_of(self.store, run_id, ("action",))

    def tree_bytes(self, root_id: str) -> int:
        """What the events and payloads of a root's whole tree take, keys and pages not counted."""
        return reading.tree_bytes(self.store, root_id)

    def last_number(self, run_id: str) -> int:
        """The number of a run's latest action, 0 without one.

        Raises:
            JournalError: an event after it, or it, is damaged.
        """
        last = reading.last_of(self.store, run_id, ("action", "child"))
        return int(last.fields["number"]) if last is not None else 0

    def tree_last_sequence(self, root_id: str) -> int:
        """The highest sequence in a root's whole tree: what an adopting ``Writer.raise_sequence`` needs."""
        below = (header.run_id for header in self.descendants(root_id))
        return max(self.last_sequence(root_id), max(map(self.last_sequence, below), default=0))

    def descendants(self, run_id: str) -> Iterator[Header]:
        """The headers of all runs below a run, in byte order of their ids (sort with ``keys.sort_key``).

        Raises:
            JournalError: at a damaged header.
        """
        for page in pages(self.store, "runs", *descendants_range(run_id)):
            for key, data in page:
                yield decode_header(data, key)

    def roots(
        self, status: str | None = None, flow: str | None = None, label: tuple[str, str] | None = None
    ) -> Iterator[Header]:
        """The headers of root runs that fit all that is given; ordered by index key, not by time.

        A root that changes while this runs may be given twice or not at all.

        Raises:
            JournalError: at a damaged header.
        """
        return reading.roots(self.store, status, flow, label)

    def facts(self, root_id: str, before_sequence: int | None = None) -> dict[str, Any]:
        """The fields of a root's ``started``, with the code of now; see ``code_change.py``."""
        return code_change.facts(self.store, root_id, before_sequence)

    def code(self, digest: str) -> str:
        """The text of a module by its hex sha256.

        Raises:
            JournalError: missing or damaged.
        """
        return reading.code(self.store, digest)

    # -- who drives a run ------------------------------------------------------------------------------

    def begin(self, request: StartRequest, engine: bytes | None) -> Begun:
        """Start a root run, or say what the earlier run of that id has come to; one transaction.

        Args:
            request: what to write if the id is new.
            engine: the id of a living engine that will own the run, or None to leave it free.

        Raises:
            ConflictError: the id exists with another flow, other arguments or grants, or was moved away.
        """
        return starting.begin(self.store, self.home, request, engine)

    def adopt(self, root_id: str, engine: bytes, *, even_held: bool = True) -> Header:
        """Become the owner of a root with its descendants; its header as it is now.

        Raises:
            RunPausedError: someone paused it, and not ``even_held``.
            RunBusyError: a live engine owns it.
            ConflictError: it was moved to another home.
            UnknownRunError: no such run.
        """
        return starting.adopt(self.store, self.home, root_id, engine, even_held=even_held)

    def release(self, root_id: str, engine: bytes) -> None:
        """Give a root up; nothing happens unless ``engine`` owns it."""
        starting.release(self.store, root_id, engine)

    def pause(self, root_id: str, reason: str, *, cut: bool = False) -> Header:
        """Pause a root: at once if nobody drives it, else its engine is asked to; its header as it is now.

        ``cut``: the engine cuts effects under way off instead of waiting for them.

        Raises:
            UnknownRunError: no such run.
            UsageError: it has finished, is part of a run, or was moved.
        """
        return pausing.pause(self.store, self.home, root_id, reason, cut, self._now_ms())

    def lift(self, root_id: str) -> Header:
        """Let a root that was paused be taken up again by whoever takes up runs; its header as it is now.

        Raises:
            UnknownRunError: no such run.
        """
        return pausing.lift(self.store, root_id)

    # -- messages --------------------------------------------------------------------------------------

    def post(self, run_id: str, message: Message) -> bytes:
        """Leave a message for an unfinished run; the key it waits under.

        Raises:
            UnknownRunError: no such run.
            UsageError: it has finished or was moved.
        """
        return mail.post(self.store, run_id, message)

    def mail_for(self, root_ids: Iterable[str]) -> list[tuple[bytes, str, Message]]:
        """(key, run id, message) for these roots and their descendants, oldest first.

        Remove each with ``Writer.delete_mail`` in the batch of the event it becomes.
        """
        return mail.mail_for(self.store, root_ids)

    # -- care ------------------------------------------------------------------------------------------

    def verify(self) -> Iterator[Problem]:
        """Re-read everything; yields what is wrong, nothing for an intact journal."""
        return verify(self.store)

    def gc(self, older_than_ms: int, status: str | None = None) -> GcCounts:
        """Remove roots that ended longer ago than ``older_than_ms``, and code that nobody uses any more.

        Roots that were moved away count as ended then.  A root with an unfinished descendant stays.
        """
        return garbage.gc(self.store, self._clock, older_than_ms, status)

    def export_run(self, root_id: str) -> bytes:
        """A root with its tree, payloads and code as one file; see ``transfer.py`` for its form.

        Raises:
            RunBusyError: a live engine drives it.
            UnknownRunError: no such root.
            JournalError: something of it is missing or damaged.
        """
        return transfer.export_run(self.store, self.home, root_id)

    def import_run(self, data: bytes) -> Header:
        """Take an exported run in; its root's header.  Importing the same twice is once.

        Raises:
            ConflictError: the id exists with other content (a run that was moved away is replaced).
            JournalError: the file is damaged, newer or not one.
        """
        return transfer.import_run(self.store, self.home, data)

    def mark_moved(self, root_id: str, to: str) -> Header:
        """Say that a root goes on in another home, ``to``; nobody drives it here from now on.

        Raises:
            RunBusyError: a live engine drives it.
            UnknownRunError: no such root.
        """
        return transfer.mark_moved(self.store, self.home, root_id, to, self._now_ms())
