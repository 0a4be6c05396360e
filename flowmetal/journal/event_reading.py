"""Reading events back, every byte of them checked."""

from __future__ import annotations

from typing import Any, Final

from flowmetal.journal import framing
from flowmetal.journal.event_schema import KEYS, KINDS, LONG_NAMES, SCHEMAS, VERSION, is_of
from flowmetal.journal.events import Event
from flowmetal.journal.framing import damaged

_KIND_NAMES: Final = {number: kind for kind, number in KINDS.items()}


def body_of(data: bytes, key: str = "") -> bytes:
    """The MessagePack map of an event, unparsed, its checksum verified.

    Raises:
        JournalError: damaged or newer; ``key`` is its place.
    """
    return framing.body_of(data, VERSION, key)


def kind_of(data: bytes) -> str:
    """The kind of an event, without checksum or parsing; "" when it cannot be told."""
    # prefix, then a map of up to 15 entries (one byte) or more (three), then the key "k"
    at = framing.PREFIX_BYTES + (3 if data[framing.PREFIX_BYTES : framing.PREFIX_BYTES + 1] == b"\xde" else 1)
    if data[at : at + 2] != b"\xa1k" or len(data) < at + 3:
        return ""
    return _KIND_NAMES.get(data[at + 2], "")


def decode(data: bytes, key: str = "") -> Event:
    """The event of these bytes, checked in every respect.

    Raises:
        JournalError: checksum, shape or a newer version; ``key`` is its place.
    """
    return decode_body(body_of(data, key), key)


def decode_body(body: bytes, key: str = "") -> Event:
    """The event of a MessagePack map as ``body_of`` gives it.

    Raises:
        JournalError: not of the shape of its kind; ``key`` is its place.
    """
    short = framing.unpack_plain(body, key)
    if not isinstance(short, dict):
        raise damaged("an event that is not a map", key)
    number, at_ms = short.pop("k", None), short.pop("t", None)
    kind = _KIND_NAMES.get(number) if type(number) is int else None
    if kind is None or type(at_ms) is not int:
        raise damaged("an event without a known kind or time", key)
    schema = SCHEMAS[kind]
    fields: dict[str, Any] = {}
    for letter, value in short.items():
        name = LONG_NAMES.get(letter, "")
        if name not in schema.types or not is_of(schema.types[name], value):
            raise damaged(f"the field {letter!r} of an event `{kind}`", key)
        fields[name] = value
    missing = schema.required - fields.keys()
    if missing:
        raise damaged(f"an event `{kind}` without {', '.join(sorted(missing))}", key)
    return Event(kind, at_ms, fields)


def short_fields(event: Event) -> dict[str, Any]:
    """The map of an event with its keys of one letter, as it is on disk and in ``body_of``."""
    return {"k": KINDS[event.kind], "t": event.at_ms} | {KEYS[name]: value for name, value in event.fields.items()}
