"""Reading that takes more than a look-up: lists of runs, slices for replay.

Nothing here holds a snapshot while its caller works: results are lists, or generators that read slice by slice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from flowmetal.errors import JournalError
from flowmetal.journal import blobs, event_reading
from flowmetal.journal.event_schema import KEYS
from flowmetal.journal.events import Event
from flowmetal.journal.framing import damaged, pack_plain
from flowmetal.journal.headers import Header, index_range, label_term, read_header
from flowmetal.journal.keys import descendants_range, events_range, own_range, place_of, root_of, sequence_of
from flowmetal.journal.store import Store, one_page, pages

_MOST_CANDIDATES: Final = 2_000  # ids compared with a mistyped one: more would take noticeable time


def likely_ids(store: Store, run_id: str) -> list[str]:
    """Ids that a person who typed ``run_id`` may have meant: of the same tree for a child, else roots."""
    with store.view() as view:
        is_child = "." in run_id
        pairs = view.scan("runs", *descendants_range(root_of(run_id))) if is_child else view.scan("by_status")
        return [_id_at_end(key) for key, _ in islice(pairs, _MOST_CANDIDATES)]


def raw_history(store: Store, run_id: str, after_sequence: int, max_bytes: int) -> list[tuple[int, bytes]]:
    """One slice of a history, unparsed; see ``Journal.raw_history``."""
    root = root_of(run_id)
    found: list[tuple[int, bytes]] = []
    size = 0
    with store.view() as view:
        for key, data in view.scan("events", *events_range(run_id, after_sequence)):
            body = _body_of(key, data)
            if blobs.REFERENCE_HEADER in body:
                body = blobs.resolve_body(view, root, body, place_of("events", key))
            found.append((sequence_of(key), body))
            size += len(body)
            if size >= max_bytes:
                break
    return found


def _body_of(key: bytes, data: bytes) -> bytes:
    try:
        return event_reading.body_of(data)
    except JournalError:
        # Naming the key costs more than checking the event, so only a damaged one pays for it.
        return event_reading.body_of(data, place_of("events", key))


def last_of(store: Store, run_id: str, kinds: Collection[str]) -> Event | None:
    """The latest event of a run that is of one of the kinds."""
    with store.view() as view:
        for key, data in view.scan("events", *own_range(run_id), reverse=True):
            if event_reading.kind_of(data) in kinds:
                return event_reading.decode(data, place_of("events", key))
    return None


def actions_called(store: Store, run_id: str, callee: str) -> Iterator[Mapping[str, Any]]:
    """The fields of a run's actions of one callee, in order; the other events are only looked at.

    Raises:
        JournalError: such an action is damaged.
    """
    packed: bytes = pack_plain({KEYS["callee"]: callee})[1:]
    for page in pages(store, "events", *events_range(run_id)):
        for key, data in page:
            # The bytes may be anywhere in an event; only what is decoded counts.
            if packed in data and event_reading.kind_of(data) == "action":
                fields = event_reading.decode(data, place_of("events", key)).fields
                if fields["callee"] == callee:
                    yield fields


def tree_bytes(store: Store, root_id: str) -> int:
    """What the events and payloads of a root's whole tree take; see ``Journal.tree_bytes``."""
    root = root_id.encode()
    # Whatever follows the root's id in a key is a dot, for its descendants, or the end of the id.
    ranges = (("events", b"\0", b"\1"), ("events", b".", b"/"), ("blobs", b"\0", b"\1"))
    size = 0
    for table, start, stop in ranges:
        for page in pages(store, table, root + start, root + stop):
            size += sum(len(value) for _, value in page)
    return size


def roots(store: Store, status: str | None, flow: str | None, label: tuple[str, str] | None) -> Iterator[Header]:
    """The headers of roots through the narrowest index; see ``Journal.roots``."""
    term: str | None
    if label is not None:
        table, term = "by_label", label_term(*label)
    elif flow is not None:
        table, term = "by_flow", flow
    else:
        table, term = "by_status", status
    start, stop = index_range(term) if term is not None else (b"", None)
    while True:
        with store.view() as view:
            page = one_page(view, table, start, stop)
            found = [read_header(view, _id_at_end(key)) for key, _ in page]
        if not page:
            return
        start = page[-1][0] + b"\0"
        for header in found:
            if header is not None and _fits(header, status, flow, label):
                yield header


def _id_at_end(index_key: bytes) -> str:
    return index_key.rpartition(b"\0")[2].decode("ascii", "replace")


def _fits(header: Header, status: str | None, flow: str | None, label: tuple[str, str] | None) -> bool:
    return (
        (status is None or header.status == status)
        and (flow is None or header.flow == flow)
        and (label is None or header.labels.get(label[0]) == label[1])
    )


def code(store: Store, digest: str) -> str:
    """The text of a module; see ``Journal.code``."""
    key = bytes.fromhex(digest)
    with store.view() as view:
        text = view.get("code", key)
    if text is None:
        raise damaged("a module's text is missing", place_of("code", key))
    if sha256(text).digest() != key:
        raise damaged("a module's text does not fit its digest", place_of("code", key))
    return text.decode()
