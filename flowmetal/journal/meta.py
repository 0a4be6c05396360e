"""What a home knows of itself: the number of its format, and counters that all processes share."""

from __future__ import annotations

from typing import Final

from flowmetal.errors import HomeError, JournalError
from flowmetal.journal.framing import damaged, seal, unseal
from flowmetal.journal.store import Store, Update, View

FORMAT: Final = 1
"""The format that this Flowmetal writes.  It goes up when an older Flowmetal could misread a home."""

# This record's own shape can never change: every Flowmetal must be able to read the number in every home.
_RECORD_VERSION: Final = b"\1"
_FORMAT_KEY: Final = b"format"
_REMOVING_PREFIX: Final = b"removing\0"


def check_format(store: Store, now_ms: int) -> None:
    """Make sure that this Flowmetal may use the home; a new home gets its record.

    Raises:
        HomeError: the home is of a newer format.
        JournalError: the record is damaged or missing from a home that has runs.
    """
    with store.view() as view:
        record = view.get("meta", _FORMAT_KEY)
    if record is not None:
        _check_record(record)
        return
    with store.update() as update:
        record = update.get("meta", _FORMAT_KEY)  # another process may have been faster
        if record is not None:
            _check_record(record)
            return
        if next(update.scan("runs"), None) is not None:
            raise damaged("the home has runs but no format number", "meta format")
        update.put("meta", _FORMAT_KEY, format_record(FORMAT, now_ms))


def format_record(number: int, created_ms: int) -> bytes:
    """The bytes of the record for a home of format ``number``."""
    return seal(_RECORD_VERSION, {"format": number, "created_ms": created_ms})


def _check_record(record: bytes) -> None:
    plain = unseal(record, 1, "meta format")
    number = plain.get("format") if isinstance(plain, dict) else None
    if type(number) is not int or number < 1:
        raise damaged("the format number is not one", "meta format")
    if number > FORMAT:
        raise HomeError(
            f"the home is of format {number}; this Flowmetal knows up to {FORMAT}",
            remedy="upgrade flowmetal",
        )


def next_number(update: Update, counter: str) -> int:
    """Count up: 1, 2, 3, … for ever, across processes.

    Raises:
        JournalError: the counter is damaged.
    """
    number = read_number(update, counter) + 1
    update.put("meta", counter.encode(), number.to_bytes(8, "big"))
    return number


def read_number(view: View, counter: str) -> int:
    """The last number given, 0 before the first.

    Raises:
        JournalError: the counter is damaged.
    """
    data = view.get("meta", counter.encode())
    if data is None:
        return 0
    if len(data) != 8:
        raise JournalError("the journal is damaged: a counter that is no number", place=f"meta {counter}")
    return int.from_bytes(data, "big")


def removing_key(root: str) -> bytes:
    """The key that says: this root's header is gone and the rest is being removed."""
    return _REMOVING_PREFIX + root.encode()


def removing(view: View) -> list[str]:
    """The roots whose removal was begun and has not ended."""
    pairs = view.scan("meta", _REMOVING_PREFIX, _REMOVING_PREFIX[:-1] + b"\1")
    return [key[len(_REMOVING_PREFIX) :].decode("ascii", "replace") for key, _ in pairs]
