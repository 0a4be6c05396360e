"""Events: what is known about a run, each a small sealed map (see ``framing.py``).

On disk a map has keys of one letter, ``KEYS`` being the one table of them; readers see long names.  The kind is
always the first entry, so that ``kind_of`` can tell it without parsing.  Builders are plain functions because
the engine calls them a hundred thousand times a second: one packed dict, one checksum.

| kind | when | fields beside ``kind`` and ``at_ms`` |
| --- | --- | --- |
| started | a run begins | flow, name, args, detached; for a child line, for a root those of ``RootFacts`` |
| action | a flow asks for something | number, callee, args, line; value (record-only), due_ms, deps, name |
| child | a pure child: call and result in one | number, callee, args, line, value, name |
| attempt | a policy tries an action again | number, attempt, repeated (an earlier one may have run) |
| result | an action ended | number, value; late (it arrived after a cancel and is only noted) |
| timer_fired | a timer came due | number |
| signal | a message from outside | name, value |
| grants | more was granted at a resume | grants |
| log | a flow printed | after (action number), index (k-th line after it), text, fields, line, level |
| cancel_requested | someone asked for the end | reason |
| code_changed | a person let a run go on with other code | program |
| finished | a run ended | status, value |

``args`` and ``value`` are codec bytes or a reference to ``blobs``.  The format lives for ever: a letter, a kind's
number or a field's meaning never changes; what is added gets a new letter and a new ``VERSION``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from flowmetal.journal import framing
from flowmetal.journal.event_schema import KEYS, KINDS, LONG_NAMES, SCHEMAS, VERSION, is_of
from flowmetal.journal.framing import Field, damaged, pack_plain

_VERSION_BYTE: Final = bytes([VERSION])
_KIND_NAMES: Final = {number: kind for kind, number in KINDS.items()}

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was written.

    ``at_ms`` is the wall clock in milliseconds since the epoch; ``fields`` has long names and no entry for what
    is absent; ``args`` and ``value`` in it are ``bytes`` or a reference (``blobs.py``).
    """

    kind: str
    at_ms: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What only a root's ``started`` holds: all that a resume needs, for ever.

    ``program`` is the code graph as (label, hex sha256) in load order, ``main`` the label of the file that was
    started, ``nonce`` 16 random bytes, ``deadline_ms`` a wall clock or None; the rest is plain data.
    """

    program: Pairs
    main: str
    limits: Mapping[str, Any]
    grants: Any
    base_dir: str
    nonce: bytes
    versions: Mapping[str, str]
    labels: Mapping[str, str]
    deadline_ms: int | None = None


def _seal(fields: dict[str, Any]) -> bytes:
    body: bytes = _VERSION_BYTE + pack_plain(fields)
    return crc32(body).to_bytes(4, "big") + body


def started(
    at_ms: int,
    flow: str,
    name: str,
    args: Field,
    *,
    detached: bool = False,
    line: str = "",
    root: RootFacts | None = None,
) -> bytes:
    """A run begins; ``root`` for a root run only, ``line`` (where its parent asked for it) for a child."""
    fields = {"k": 1, "t": at_ms, "f": flow, "m": name, "a": args, "x": detached}
    if line:
        fields["l"] = line
    if root is not None:
        fields.update(
            p=root.program, M=root.main, L=root.limits, g=root.grants, b=root.base_dir,
            o=root.nonce, V=root.versions, e=root.labels,
        )  # fmt: skip
        if root.deadline_ms is not None:
            fields["D"] = root.deadline_ms
    return _seal(fields)


def action(
    at_ms: int,
    number: int,
    callee: str,
    args: Field,
    line: str,
    value: Field | None = None,
    due_ms: int | None = None,
    deps: list[int] | None = None,
    name: str = "",
) -> bytes:
    """A flow asks for something; with ``value`` it is record-only and complete."""
    fields = {"k": 2, "t": at_ms, "n": number, "c": callee, "a": args, "l": line}
    if value is not None:
        fields["v"] = value
    if due_ms is not None:
        fields["u"] = due_ms
    if deps is not None:
        fields["d"] = deps
    if name:
        fields["m"] = name
    return _seal(fields)


def child(at_ms: int, number: int, callee: str, args: Field, line: str, value: Field, name: str = "") -> bytes:
    """A pure child: its call and its Result in one."""
    fields = {"k": 3, "t": at_ms, "n": number, "c": callee, "a": args, "l": line, "v": value}
    if name:
        fields["m"] = name
    return _seal(fields)


def attempt(at_ms: int, number: int, attempt: int, repeated: bool = False) -> bytes:
    """A policy tries action ``number`` again; ``repeated`` when an earlier attempt may have run."""
    return _seal({"k": 4, "t": at_ms, "n": number, "i": attempt, "r": repeated})


def result(at_ms: int, number: int, value: Field, late: bool = False) -> bytes:
    """An action ended; a ``late`` one is noted and not given to the flow."""
    if late:
        return _seal({"k": 5, "t": at_ms, "n": number, "v": value, "w": True})
    return _seal({"k": 5, "t": at_ms, "n": number, "v": value})


def timer_fired(at_ms: int, number: int) -> bytes:
    """The timer of action ``number`` came due."""
    return _seal({"k": 6, "t": at_ms, "n": number})


def signal(at_ms: int, name: str, value: Field) -> bytes:
    """A message from outside."""
    return _seal({"k": 7, "t": at_ms, "m": name, "v": value})


def grants(at_ms: int, grants: Any) -> bytes:
    """More was granted at a resume; plain data."""
    return _seal({"k": 8, "t": at_ms, "g": grants})


def log(at_ms: int, after: int, index: int, text: str, fields: Field, line: str, level: str = "info") -> bytes:
    """The ``index``-th line a flow printed after action number ``after`` (0: before its first)."""
    return _seal({"k": 9, "t": at_ms, "j": after, "q": index, "s": text, "F": fields, "l": line, "y": level})


def cancel_requested(at_ms: int, reason: str) -> bytes:
    """Someone asked for the end of this run."""
    return _seal({"k": 10, "t": at_ms, "z": reason})


def code_changed(at_ms: int, program: Pairs) -> bytes:
    """From here on the run uses this code graph."""
    return _seal({"k": 11, "t": at_ms, "p": program})


def finished(at_ms: int, status: str, value: Field) -> bytes:
    """The run ended with ``status`` ok, err or cancelled and its Result."""
    return _seal({"k": 12, "t": at_ms, "S": status, "v": value})


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
