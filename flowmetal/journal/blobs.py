"""Payloads too large for an event: kept once per root run under their digest.

A field of an event is the payload itself (``bytes``) or, above 16 KiB, ``ExtType(1, sha256)``; the payload then
lies in ``blobs`` under root id ‖ 0 ‖ sha256.  It goes when its root goes, so there are no reference counts.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from flowmetal.journal.framing import ExtType, Field, damaged, pack_plain, unpack_plain
from flowmetal.journal.keys import place_of
from flowmetal.journal.store import View

INLINE_BYTES: Final = 16 * 1024
BLOB_CODE: Final = 1

# MessagePack's header of a 32 byte extension of our code: a body without these three bytes holds no reference.
REFERENCE_HEADER: Final = bytes([0xC7, 32, BLOB_CODE])


def blob_key(root: str, digest: bytes) -> bytes:
    """The key of a payload; ``digest`` is the 32 bytes of its sha256."""
    return root.encode() + b"\0" + digest


def externalize(value: bytes, root: str) -> tuple[Field, list[tuple[bytes, bytes]]]:
    """What to put into an event for ``value``, and the pairs to put into ``blobs`` in the same transaction."""
    if len(value) <= INLINE_BYTES:
        return value, []
    digest = sha256(value).digest()
    return ExtType(BLOB_CODE, digest), [(blob_key(root, digest), value)]


def is_reference(field: object) -> bool:
    """Whether a field refers to the table ``blobs``."""
    return isinstance(field, ExtType) and field.code == BLOB_CODE and len(field.data) == 32


def load(view: View, root: str, field: Field) -> bytes:
    """The payload of a field of the tree of ``root``.

    Raises:
        JournalError: the payload is missing or damaged; its key is the place.
    """
    if isinstance(field, bytes):
        return field
    key = blob_key(root, field.data)
    value = view.get("blobs", key)
    if value is None:
        raise damaged("a payload is missing", place_of("blobs", key))
    if sha256(value).digest() != field.data:
        raise damaged("a payload does not fit its digest", place_of("blobs", key))
    return value


def resolve_body(view: View, root: str, body: bytes, place: str = "") -> bytes:
    """A MessagePack map with every reference in it replaced by its payload.

    Raises:
        JournalError: a payload is missing or damaged, or ``body`` is not a map.
    """
    if REFERENCE_HEADER not in body:
        return body
    plain = unpack_plain(body, place)
    if not isinstance(plain, dict):
        raise damaged("an event that is not a map", place)
    packed: bytes = pack_plain(resolve_fields(view, root, plain))
    return packed


def resolve_fields(view: View, root: str, fields: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with every reference replaced by its payload.

    Raises:
        JournalError: a payload is missing or damaged.
    """
    return {name: load(view, root, field) if is_reference(field) else field for name, field in fields.items()}
