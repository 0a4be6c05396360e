"""Re-reading everything: checksums, indexes, references.

Each table is read in slices, every slice with all its look-ups in one snapshot, so that runs which begin, end or
are removed meanwhile are no problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from flowmetal.errors import FlowmetalError, JournalError
from flowmetal.journal import blobs, event_reading, messages, meta, once
from flowmetal.journal.headers import Header, decode_header, index_keys, read_header
from flowmetal.journal.keys import own_range, parse_event_key, place_of, root_of
from flowmetal.journal.mail import decode_mail
from flowmetal.journal.shared_state import decode_shared
from flowmetal.journal.store import Store, View, one_page


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (table and key), what, and what to do about it."""

    place: str
    message: str
    remedy: str


_DAMAGED: Final = "restore the home from a copy, or remove the run"
_INDEX: Final = "the run is intact; it may be missing from lists or shown in wrong ones"
_ORPHAN: Final = "it takes room and does no other harm"


def verify(store: Store) -> Iterator[Problem]:
    """Every problem of the journal; nothing when it is intact.  See ``Journal.verify``."""
    for table, check in _CHECKS.items():
        start = b""
        while True:
            with store.view() as view:
                page = one_page(view, table, start, None)
                problems = [problem for key, value in page for problem in check(view, table, key, value)]
            yield from problems
            if not page:
                break
            start = page[-1][0] + b"\0"


def _check_header(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    place = place_of(table, key)
    try:
        header = decode_header(value, key)
    except JournalError as error:
        yield _of(error)
        return
    if _is_being_removed(view, header.root):
        return
    if header.root != root_of(header.run_id):
        yield Problem(place, "a run names another root than its id", _DAMAGED)
    if header.parent and view.get("runs", header.parent.encode()) is None:
        yield Problem(place, f"its parent `{header.parent}` does not exist", _ORPHAN)
    if next(view.scan("events", *own_range(header.run_id)), None) is None:
        yield Problem(place, "a run without events", _DAMAGED)
    yield from _check_indexed(view, header)
    yield from _check_payload(view, header.root, header.result)


def _check_indexed(view: View, header: Header) -> Iterator[Problem]:
    if header.is_root:
        for table, key in sorted(index_keys(header)):
            if view.get(table, key) is None:
                yield Problem(place_of("runs", header.run_id.encode()), f"its entry in {table} is missing", _INDEX)


def _check_payload(view: View, root: str, field: object) -> Iterator[Problem]:
    if blobs.is_reference(field):
        try:
            blobs.load(view, root, field)
        except JournalError as error:
            yield _of(error)


def _check_event(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    place = place_of(table, key)
    try:
        run_id, _ = parse_event_key(key)
        event = event_reading.decode(value, place)
    except ValueError:
        yield Problem(place, "an event's key is not one", _DAMAGED)
        return
    except JournalError as error:
        yield _of(error)
        return
    root = root_of(run_id)
    if _is_being_removed(view, root):
        return
    if view.get("runs", run_id.encode()) is None:
        yield Problem(place, "an event of a run that does not exist", _ORPHAN)
    for field in event.fields.values():
        yield from _check_payload(view, root, field)
    for label, digest in event.fields.get("program", ()):
        if not _has_code(view, digest):
            yield Problem(place, f"the text of {label} ({digest}) is missing", _DAMAGED)


def _has_code(view: View, digest: str) -> bool:
    try:
        key = bytes.fromhex(digest)
    except ValueError:
        return False
    return len(key) == 32 and view.get("code", key) is not None


def _check_code(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    if sha256(value).digest() != key:
        yield Problem(place_of(table, key), "a module's text does not fit its digest", _DAMAGED)


def _check_blob(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    root, _, digest = key.partition(b"\0")
    if sha256(value).digest() != digest:
        yield Problem(place_of(table, key), "a payload does not fit its digest", _DAMAGED)
    elif view.get("runs", root) is None and not _is_being_removed(view, root.decode("ascii", "replace")):
        yield Problem(place_of(table, key), "a payload of a run that does not exist", _ORPHAN)


def _check_index(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    run_id = key.rpartition(b"\0")[2].decode("ascii", "replace")
    try:
        header = read_header(view, run_id)
    except JournalError:
        return  # named where the header itself is checked
    if header is None or (table, key) not in index_keys(header):
        yield Problem(place_of(table, key), "an index entry that no run has", _INDEX)


def _check_mail(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    try:
        run_id, number = parse_event_key(key)
        if number:
            decode_mail(key, value)
        else:
            messages.waiting(view, run_id)
    except ValueError:
        yield Problem(place_of(table, key), "a mail's key", _DAMAGED)
        return
    except JournalError as error:
        yield _of(error)
        return
    if view.get("runs", run_id.encode()) is None and not _is_being_removed(view, root_of(run_id)):
        yield Problem(place_of(table, key), "mail for a run that does not exist", _ORPHAN)


def _check_claim(view: View, table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    if not once.is_claim(key):
        return
    try:
        claim = once.decode_claim(key, value)
    except JournalError as error:
        yield _of(error)
        return
    root = root_of(claim.run_id)
    if _is_being_removed(view, root):
        return
    if view.get("runs", root.encode()) is None:
        yield Problem(
            f"meta once {claim.key}", f"a key held by the run `{claim.run_id}`, which does not exist", _ORPHAN
        )
    yield from _check_payload(view, root, claim.value)


def _check_shared(_view: View, _table: str, key: bytes, value: bytes) -> Iterator[Problem]:
    try:
        decode_shared(key, value)
    except JournalError as error:
        yield _of(error)


def _is_being_removed(view: View, root: str) -> bool:
    return view.get("meta", meta.removing_key(root)) is not None


def _of(error: FlowmetalError) -> Problem:
    return Problem(error.place, error.message, _DAMAGED)


_CHECKS: Final[dict[str, Callable[[View, str, bytes, bytes], Iterator[Problem]]]] = {
    "runs": _check_header,
    "events": _check_event,
    "code": _check_code,
    "blobs": _check_blob,
    "by_status": _check_index,
    "by_flow": _check_index,
    "by_label": _check_index,
    "mail": _check_mail,
    "meta": _check_claim,
    "state": _check_shared,
}
