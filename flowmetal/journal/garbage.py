"""Removing what is over, in write transactions so short that no engine waits for them.

A removal begins by deleting the root's header and index entries, which makes the run unknown at once, and
leaves a mark in ``meta`` until its events, payloads, mail and descendants are gone too.  A removal that was
killed in between is ended by the next gc, or by a new run of the same id.

Code is shared by all runs, so it is removed by mark and sweep: every digest named by a remaining ``started`` or
``code_changed`` stays.  A counter in ``meta`` goes up with every transaction that names code; a sweep that sees
it changed since its mark deletes nothing and marks anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from flowmetal.clock import Clock
from flowmetal.errors import JournalError
from flowmetal.journal import closing, event_reading, meta, once
from flowmetal.journal.headers import FINISHED, Header, index_range, read_header, remove_header
from flowmetal.journal.keys import descendants_range, own_range, place_of
from flowmetal.journal.store import Store, Update, View, pages

# 1,000 deletions take about 5 ms, the commit's fsync not counted.
_SLICE_KEYS: Final = 1_000
_SLICE_SECONDS: Final = 0.010
_SWEEP_TRIES: Final = 3


@dataclass(slots=True)
class GcCounts:
    """How many records were removed."""

    roots: int = 0
    runs: int = 0
    events: int = 0
    blobs: int = 0
    mail: int = 0
    code: int = 0


def gc(store: Store, clock: Clock, older_than_ms: int, status: str | None = None) -> GcCounts:
    """Remove finished (or moved) roots that ended longer ago than ``older_than_ms``; see ``Journal.gc``."""
    cutoff_ms = int(clock.now() * 1000) - older_than_ms
    counts = GcCounts()
    with store.view() as view:
        unended = meta.removing(view)
    for root in unended:
        _remove_rest(store, clock, root, counts)
    for root in list(_candidates(store, cutoff_ms, status)):
        if _remove_root(store, root, cutoff_ms, status):
            counts.roots += 1
            counts.runs += 1
            _remove_rest(store, clock, root, counts)
    counts.code = _sweep_code(store)
    return counts


def _candidates(store: Store, cutoff_ms: int, status: str | None) -> Iterator[str]:
    terms = [status] if status is not None else [None]
    for term in terms:
        start, stop = index_range(term) if term is not None else (b"", None)
        for page in pages(store, "by_status", start, stop):
            with store.view() as view:
                roots = [key.rpartition(b"\0")[2].decode("ascii", "replace") for key, _ in page]
                due = [root for root in roots if _is_due(view, root, cutoff_ms, status)]
            yield from due


def _is_due(view: View, root: str, cutoff_ms: int, status: str | None) -> bool:
    """Whether a root with all its descendants is over for long enough; damaged ones stay for a person to see."""
    try:
        header = read_header(view, root)
        return header is not None and _is_over(header, cutoff_ms, status) and _descendants_over(view, root)
    except JournalError:
        return False


def _is_over(header: Header, cutoff_ms: int, status: str | None) -> bool:
    if status is not None and header.status != status:
        return False
    over = header.is_finished or bool(header.moved_to)
    return over and header.finished_ms is not None and header.finished_ms <= cutoff_ms


def _descendants_over(view: View, root: str) -> bool:
    header = read_header(view, root)
    if header is not None and header.moved_to:
        return True
    for key, _ in view.scan("runs", *descendants_range(root)):
        below = read_header(view, key.decode("ascii", "replace"))
        if below is not None and below.status not in FINISHED:
            return False
    return True


def _remove_root(store: Store, root: str, cutoff_ms: int, status: str | None) -> bool:
    with store.update() as update:
        if not _is_due(update, root, cutoff_ms, status):
            return False  # changed since it was found
        header = read_header(update, root)
        assert header is not None
        remove_header(update, header)
        update.put("meta", meta.removing_key(root), b"")
        return True


def _remove_rest(store: Store, clock: Clock, root: str, counts: GcCounts) -> None:
    done = False
    while not done:
        with store.update() as update:
            done = _purge_slice(update, clock, root, counts)


def _purge_slice(update: Update, clock: Clock, root: str, counts: GcCounts) -> bool:
    """Remove up to one slice; whether nothing is left."""
    end = clock.monotonic() + _SLICE_SECONDS
    left = _SLICE_KEYS
    for table, start, stop in _ranges(root):
        while left > 0 and clock.monotonic() < end:
            keys = [key for key, _ in islice(update.scan(table, start, stop), min(left, 100))]
            if not keys:
                break
            for key in keys:
                update.delete(table, key)
            setattr(counts, table, getattr(counts, table) + len(keys))
            left -= len(keys)
        else:
            return False
    if once.forget_claims(update, root, left) == left:
        return False
    closing.forget_closers(update, root)
    update.delete("meta", meta.removing_key(root))
    return True


def purge(update: Update, root: str) -> None:
    """Remove everything keyed by a root and its descendants within one transaction; not the root's header."""
    for table, start, stop in _ranges(root):
        for key in [key for key, _ in update.scan(table, start, stop)]:
            update.delete(table, key)
    once.forget_claims(update, root)
    closing.forget_closers(update, root)
    update.delete("meta", meta.removing_key(root))


def _ranges(root: str) -> list[tuple[str, bytes, bytes]]:
    own, below = own_range(root), descendants_range(root)
    return [
        ("events", *own),
        ("events", *below),
        ("blobs", *own),
        ("mail", *own),
        ("mail", *below),
        ("runs", *below),
    ]


def _sweep_code(store: Store) -> int:
    for _ in range(_SWEEP_TRIES):
        with store.view() as view:
            mark = meta.read_number(view, "code")
        try:
            used = _used_code(store)
        except JournalError:
            return 0  # what a damaged event names cannot be known, so all code stays
        removed = _delete_code(store, used, mark)
        if removed is not None:
            return removed
    return 0  # runs begin all the time; the next gc tries again


def _used_code(store: Store) -> set[bytes]:
    used: set[bytes] = set()
    for page in pages(store, "events", b"", None):
        for key, data in page:
            if event_reading.kind_of(data) in ("started", "code_changed"):
                program = event_reading.decode(data, place_of("events", key)).fields.get("program", [])
                used.update(bytes.fromhex(digest) for _, digest in program)
    return used


def _delete_code(store: Store, used: set[bytes], mark: int) -> int | None:
    """How many texts were removed, or None when code was named since ``mark``."""
    unused = [key for page in pages(store, "code", b"", None) for key, _ in page if key not in used]
    for first in range(0, len(unused), _SLICE_KEYS):
        with store.update() as update:
            if meta.read_number(update, "code") != mark:
                return None
            for key in unused[first : first + _SLICE_KEYS]:
                update.delete("code", key)
    return len(unused)
