"""Mail: how anyone but its engine acts on a run: cancel, answer, grant, signal.

A message waits in the table ``mail`` until the run's engine has made an event of it; both happen in one
transaction of the engine, so a message is neither lost nor taken twice.  Its number comes from a counter that
never goes back: a key once removed is never used again.  Under the number 0 of a run stands how many messages it has
not read, see ``messages.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from flowmetal.errors import JournalError
from flowmetal.journal import meta
from flowmetal.journal.framing import damaged, seal, unseal
from flowmetal.journal.keys import event_key, parse_event_key, place_of
from flowmetal.journal.messages import is_count, receiver
from flowmetal.journal.store import Store, Update

VERSION: Final = 1
_KEYS_AT_ONCE: Final = 10_000
_VERSION_BYTE: Final = bytes([VERSION])

Message = dict[str, Any]
"""Plain data with string keys; ``kind`` says what it is."""


def post(store: Store, run_id: str, message: Message) -> bytes:
    """Leave a message for a run; its key.  See ``Journal.post``."""
    with store.update() as update:
        receiver(update, run_id)
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
    return mail_slice(store, root_ids, sys.maxsize, sys.maxsize)[0]


def mail_slice(
    store: Store, root_ids: Iterable[str], most: int, most_bytes: int
) -> tuple[list[tuple[bytes, str, Message]], bool]:
    """The oldest ``most`` messages of ``mail_for``, or those with which ``most_bytes`` is passed; whether that is all.

    What is in memory at a time follows these two; of the rest only keys are.
    """
    keys = sorted(_keys_for(store, frozenset(root_ids)), key=lambda key: key[-8:])
    found: list[tuple[bytes, str, Message]] = []
    size = 0
    with store.view() as view:
        for at, key in enumerate(keys):
            if len(found) >= most or size >= most_bytes:
                return found, at == len(keys)
            data = view.get("mail", key)
            if data is None:
                continue  # taken meanwhile
            size += len(data)
            try:
                found.append((key, *decode_mail(key, data)))
            except JournalError:
                continue
    return found, True


def _keys_for(store: Store, roots: frozenset[str]) -> Iterator[bytes]:
    """The keys of all mail for some roots; what is for others is stepped over run by run."""
    start = b""
    while True:
        keys: list[bytes] = []
        with store.view() as view:
            following = None
            for key, _ in view.scan("mail", start):
                run, _, _ = key.partition(b"\0")
                if run.partition(b".")[0].decode("ascii", "replace") not in roots:
                    following = run + b"\1"
                    break
                keys.append(key)
                if len(keys) >= _KEYS_AT_ONCE:
                    following = key + b"\0"
                    break
        yield from (key for key in keys if len(key) > 8 and not is_count(key))
        if following is None:
            return
        start = following


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
