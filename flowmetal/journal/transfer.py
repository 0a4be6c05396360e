"""A run in a file, to move it between homes.

    file    = b"FLOWMETAL-RUN\\n" ‖ version (1 byte) ‖ sha256 (32 bytes, over the rest) ‖ MessagePack map
    map     = {"root": id, "headers": [[run id, header]], "events": [[key, event]],
               "blobs": [[key, payload]], "code": [[sha256, text]]}, and
               "claims": [[key, claim]] if it did something once only

Keys and records are those of the tables, byte for byte, but that no header has an owner or says it was moved:
exporting the same state twice gives the same bytes.  A file is hostile until ``import_run`` has checked it.
To move a run: ``mark_moved`` it (nobody can drive it from then on), export it, import it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgpack

from flowmetal.errors import ConflictError, JournalError, RunBusyError, UnknownRunError
from flowmetal.journal import blobs, event_reading, garbage, messages, meta, once
from flowmetal.journal.framing import damaged, pack_plain
from flowmetal.journal.headers import Header, decode_header, encode_header, put_header, read_header, remove_header
from flowmetal.journal.keys import (
    descendants_range,
    is_run_id,
    own_range,
    parent_of,
    parse_event_key,
    place_of,
    root_of,
)
from flowmetal.journal.ownership import who_drives
from flowmetal.journal.starting import is_driven
from flowmetal.journal.store import Store, Update, View

MAGIC: Final = b"FLOWMETAL-RUN\n"
VERSION: Final = 1
_PREFIX_BYTES: Final = len(MAGIC) + 1 + 32

Rows = list[tuple[bytes, bytes]]


def export_run(store: Store, home: Path, root_id: str) -> bytes:
    """The bytes of a root run with all it needs; see ``Journal.export_run``."""
    with store.view() as view:
        _check_free(home, _require_root(view, root_id))
        return _export(view, root_id)


def mark_moved(store: Store, home: Path, root_id: str, to: str, now_ms: int) -> Header:
    """Say in the header that the run goes on elsewhere; see ``Journal.mark_moved``."""
    with store.update() as update:
        header = _require_root(update, root_id)
        _check_free(home, header)
        moved = replace(header, moved_to=to, owner=b"", finished_ms=header.finished_ms or now_ms)
        put_header(update, moved, header)
        return moved


def import_run(store: Store, home: Path, data: bytes) -> Header:
    """Take a run in; see ``Journal.import_run``."""
    content = _parse(data)
    root_id = content["root"]
    with store.update() as update:
        existing = read_header(update, root_id)
        if existing is not None and existing.moved_to:
            _check_free(home, existing)
            remove_header(update, existing)
            garbage.purge(update, root_id)
        elif existing is not None:
            if _export(update, root_id) == data:
                return existing
            raise ConflictError(
                f"the run `{root_id}` exists here with other content", remedy="remove it first, or use another home"
            )
        elif update.get("meta", meta.removing_key(root_id)) is not None:
            garbage.purge(update, root_id)
        return _write(update, content)


def _write(update: Update, content: dict[str, Any]) -> Header:
    for table in ("events", "blobs"):
        update.put_many(table, content[table])
    for digest, text in content["code"]:
        update.put("code", digest, text)
    meta.next_number(update, "code")
    messages.recount(update, content["events"])
    for key, record in content["headers"]:
        put_header(update, decode_header(record, key), None)
    for key, record in content.get("claims", ()):
        if update.get("meta", key) is None:  # else somebody here holds that key, who goes on holding it
            once.put_claim(update, once.decode_claim(key, record))
    header = read_header(update, content["root"])
    assert header is not None  # _parse saw it
    return header


def _require_root(view: View, root_id: str) -> Header:
    header = read_header(view, root_id)
    if header is None:
        raise UnknownRunError(f"there is no run `{root_id}`")
    if not header.is_root:
        raise UnknownRunError(f"`{root_id}` is part of a run", remedy=f"name the whole run: {header.root}")
    return header


def _check_free(home: Path, header: Header) -> None:
    if is_driven(home, header):
        raise RunBusyError(
            f"{who_drives(home, header.owner)} drives the run `{header.run_id}`",
            remedy="end that process first, then try again",
        )


def _export(view: View, root_id: str) -> bytes:
    own, below = own_range(root_id), descendants_range(root_id)
    headers = [(root_id.encode(), view.get("runs", root_id.encode()) or b"")]
    headers += view.scan("runs", *below)
    history = [*view.scan("events", *own), *view.scan("events", *below)]
    code = {digest: view.get("code", digest) for digest in _programs(history)}
    for digest, text in code.items():
        if text is None:
            raise damaged("a module's text is missing", place_of("code", digest))
    plain = {
        "root": root_id,
        "headers": [(key, _neutral(key, record)) for key, record in headers],
        "events": history,
        "blobs": list(view.scan("blobs", *own)),
        "code": sorted(code.items()),
    }
    claims = once.claims_of(view, root_id)
    packed: bytes = pack_plain(plain | {"claims": claims} if claims else plain)
    return MAGIC + bytes([VERSION]) + sha256(packed).digest() + packed


def _neutral(key: bytes, record: bytes) -> bytes:
    """A header without what only holds in its own home."""
    header = decode_header(record, key)
    ended_ms = header.finished_ms if header.is_finished else None
    return encode_header(replace(header, owner=b"", moved_to="", finished_ms=ended_ms))


def _programs(history: Rows) -> set[bytes]:
    used: set[bytes] = set()
    for key, data in history:
        if event_reading.kind_of(data) in ("started", "code_changed"):
            event = event_reading.decode(data, place_of("events", key))
            used.update(bytes.fromhex(digest) for _, digest in event.fields.get("program", []))
    return used


# -- checking what came from outside -------------------------------------------------------------------


def _parse(data: bytes) -> dict[str, Any]:
    """The content of a file, every row of it checked."""
    if not data.startswith(MAGIC) or len(data) <= _PREFIX_BYTES:
        raise _bad("it is not a file of `flowmetal export`")
    if data[len(MAGIC)] != VERSION:
        raise JournalError(
            f"the exported run is of version {data[len(MAGIC)]}; this Flowmetal knows {VERSION}",
            remedy="upgrade flowmetal",
        )
    packed = data[_PREFIX_BYTES:]
    if sha256(packed).digest() != data[len(MAGIC) + 1 : _PREFIX_BYTES]:
        raise _bad("its checksum does not fit its bytes")
    try:
        content: dict[str, Any] = msgpack.unpackb(packed, use_list=False)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError):
        raise _bad("it is not MessagePack") from None
    _check_content(content)
    return content


def _check_content(content: Any) -> None:
    names = {"root", "headers", "events", "blobs", "code"}
    if not isinstance(content, dict) or set(content) - {"claims"} != names or not isinstance(content["root"], str):
        raise _bad("it does not hold what a run needs")
    root = content["root"]
    if not is_run_id(root) or root_of(root) != root:
        raise _bad("its run id is not a root's")
    for table, check in _CHECKS.items():
        rows = content.get(table, ())
        if not isinstance(rows, tuple) or not all(_is_row(row) for row in rows):
            raise _bad(f"its {table} are not pairs of bytes")
        if len({key for key, _ in rows}) != len(rows):
            raise _bad(f"its {table} hold a key twice")
        for key, value in rows:
            check(root, key, value)
        content[table] = list(rows)
    if root.encode() not in dict(content["headers"]):
        raise _bad("it does not hold the header of its root")
    missing = _programs(content["events"]) - {key for key, _ in content["code"]}
    if missing:
        raise _bad(f"{len(missing)} modules of its code are missing")


def _is_row(row: object) -> bool:
    return isinstance(row, tuple) and len(row) == 2 and type(row[0]) is type(row[1]) is bytes


def _check_header(root: str, key: bytes, value: bytes) -> None:
    header = decode_header(value, key)
    at_home = header.owner or header.moved_to
    fits = is_run_id(header.run_id) and header.root == root_of(header.run_id) == root
    if not fits or header.parent != parent_of(header.run_id) or at_home:
        raise _bad("a header is not of this run", place_of("runs", key))


def _check_event(root: str, key: bytes, value: bytes) -> None:
    try:
        run_id, _ = parse_event_key(key)
    except ValueError:
        raise _bad("an event's key is not one") from None
    if root_of(run_id) != root:
        raise _bad("an event is not of this run", place_of("events", key))
    event_reading.decode(value, place_of("events", key))


def _check_blob(root: str, key: bytes, value: bytes) -> None:
    if key != blobs.blob_key(root, sha256(value).digest()):
        raise _bad("a payload is not of its key", place_of("blobs", key))


def _check_code(root: str, key: bytes, value: bytes) -> None:
    if key != sha256(value).digest():
        raise _bad("a module's text is not of its key", place_of("code", key))


def _check_claim(root: str, key: bytes, value: bytes) -> None:
    if root_of(once.decode_claim(key, value).run_id) != root:
        raise _bad("a key that another run holds")


_CHECKS: Final[dict[str, Callable[[str, bytes, bytes], None]]] = {
    "headers": _check_header,
    "events": _check_event,
    "blobs": _check_blob,
    "code": _check_code,
    "claims": _check_claim,
}


def _bad(what: str, place: str = "") -> JournalError:
    return JournalError(f"the file cannot be imported: {what}", place=place, remedy="export the run again")
