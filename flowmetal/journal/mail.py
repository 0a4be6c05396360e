"""Mail: how anyone but its engine acts on a run (cancel, signal).

A message waits in the table ``mail`` until the run's engine has made an event of it; both happen in one
transaction of the engine, so a message is neither lost nor taken twice.  Its number comes from a counter that
never goes back: a key once removed is never used again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from flowmetal.errors import JournalError, UnknownRunError, UsageError
from flowmetal.journal import meta
from flowmetal.journal.framing import damaged, seal, unseal
from flowmetal.journal.headers import read_header
from flowmetal.journal.keys import event_key, parse_event_key, place_of, root_of
from flowmetal.journal.store import Store, Update, pages

VERSION: Final = 1
_VERSION_BYTE: Final = bytes([VERSION])

Message = dict[str, Any]
"""Plain data with string keys; ``kind`` says what it is."""


def post(store: Store, run_id: str, message: Message) -> bytes:
    """Leave a message for a run; its key.  See ``Journal.post``."""
    with store.update() as update:
        header = read_header(update, run_id)
        if header is None:
            raise UnknownRunError(f"there is no run `{run_id}`")
        root = header if header.is_root else read_header(update, header.root)
        if root is not None and root.moved_to:
            raise UsageError(f"the run `{run_id}` was moved to {root.moved_to}", remedy="send the message there")
        if header.is_finished:
            raise UsageError(f"the run `{run_id}` has finished ({header.status}); it takes no messages")
        return put(update, run_id, message)


def put(update: Update, run_id: str, message: Message) -> bytes:
    """Leave a message for a run that takes some, within a transaction; its key."""
    key = event_key(run_id.encode(), meta.next_number(update, "mail"))
    update.put("mail", key, seal(_VERSION_BYTE, message))
    return key


def mail_for(store: Store, root_ids: Iterable[str]) -> list[tuple[bytes, str, Message]]:
    """(key, run id, message) of all mail for these roots and their descendants, in the order it was posted.

    A damaged message is left where it is, for ``verify`` to name: it must not stop the other runs.
    """
    roots = frozenset(root_ids)
    found: list[tuple[bytes, str, Message]] = []
    for page in pages(store, "mail", b"", None):
        for key, data in page:
            try:
                run_id, message = decode_mail(key, data)
            except JournalError:
                continue
            if root_of(run_id) in roots:
                found.append((key, run_id, message))
    found.sort(key=lambda item: item[0][-8:])
    return found


def decode_mail(key: bytes, data: bytes) -> tuple[str, Message]:
    """The run id and message of one mail.

    Raises:
        JournalError: damaged or newer.
    """
    place = place_of("mail", key)
    try:
        run_id, _ = parse_event_key(key)
    except ValueError:
        raise damaged("a mail's key", place) from None
    message = unseal(data, VERSION, place)
    if not isinstance(message, dict):
        raise damaged("a mail that is not a map", place)
    return run_id, message
