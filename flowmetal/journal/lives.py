"""Lives: a run that continues as new keeps its id, and loses its history in one transaction.

What stays of the life that ends is what a run is made of and what is owed to others: its ``started``, the events
``grants`` and ``code_changed``, messages that nobody has read, and the last of what it exposes under each name.  All
else goes, with the runs below it and the payloads that nothing refers to any more.  Behind what stays comes the event
``continued``, with which the history of the new life begins.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowmetal.journal import blobs, event_reading, once
from flowmetal.journal.blobs import REFERENCE_HEADER
from flowmetal.journal.framing import pack_plain, unpack_plain
from flowmetal.journal.keys import descendants_range, event_key, events_range, own_range, place_of, root_of, sequence_of
from flowmetal.journal.store import Update

Rows = list[tuple[bytes, bytes]]
_KEPT: Final = frozenset({"started", "grants", "code_changed"})
_EXPOSE: Final = "expose"
_EXPOSE_BYTES: Final = bytes(pack_plain(_EXPOSE))


def cut(update: Update, run_id: str, before: int) -> int:
    """Remove the life of a run that ended before the event ``before``; how many bytes less there are.

    Raises:
        JournalError: an event or payload of the run is damaged; the update must be given up.
    """
    start, _ = events_range(run_id)
    own = list(update.scan("events", start, event_key(run_id.encode(), before)))
    kept = _to_keep(update, root_of(run_id), own)
    below = descendants_range(run_id)
    gone = [(key, data) for key, data in own if sequence_of(key) not in kept] + list(update.scan("events", *below))
    for key, _ in gone:
        update.delete("events", key)
    for table in ("runs", "mail"):
        for key, _ in list(update.scan(table, *below)):
            update.delete(table, key)
    return sum(len(data) for _, data in gone) + _sweep(update, root_of(run_id), _referred(gone))


def _to_keep(update: Update, root: str, own: Rows) -> set[int]:
    """The sequences of what outlives its life."""
    kept: set[int] = set()
    signals: set[int] = set()
    exposed: dict[bytes, int] = {}
    for key, data in own:
        kind, sequence = event_reading.kind_of(data), sequence_of(key)
        if kind in _KEPT:
            kept.add(sequence)
        elif kind == "signal":
            signals.add(sequence)
        elif kind == "result" and signals:
            signals.discard(event_reading.decode(data, place_of("events", key)).fields.get("read", 0))
        elif kind == "action" and _EXPOSE_BYTES in data:
            fields = event_reading.decode(data, place_of("events", key)).fields
            if fields["callee"] == _EXPOSE:
                name = unpack_plain(blobs.load(update, root, fields["args"]))[0]
                exposed[pack_plain(name)] = sequence
    return kept | signals | set(exposed.values())


def _referred(rows: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """The digests of the payloads that events refer to."""
    found: set[bytes] = set()
    for key, data in rows:
        if REFERENCE_HEADER in data:
            fields = event_reading.decode(data, place_of("events", key)).fields
            found.update(each.data for each in fields.values() if blobs.is_reference(each))
    return found


def _sweep(update: Update, root: str, gone: set[bytes]) -> int:
    """Remove those payloads that nothing of the tree refers to any more; their bytes."""
    if not gone:
        return 0
    for start, stop in (own_range(root), descendants_range(root)):
        gone -= _referred(update.scan("events", start, stop))
    for key, record in once.claims_of(update, root):
        if REFERENCE_HEADER in record:
            value = once.decode_claim(key, record).value
            if value is not None and blobs.is_reference(value):
                gone.discard(value.data)
    size = 0
    for digest in gone:
        key = blobs.blob_key(root, digest)
        size += len(update.get("blobs", key) or b"")
        update.delete("blobs", key)
    return size
