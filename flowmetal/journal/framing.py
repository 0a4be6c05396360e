"""How every record of the journal is sealed.

    record = crc32 (4 bytes, big-endian, over the rest) ‖ version (1 byte) ‖ MessagePack

The checksum finds any single damaged bit; the version lets a later Flowmetal change a record and still read the
old ones, and lets this one refuse a newer record instead of guessing.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias
from zlib import crc32

import msgpack

from flowmetal.errors import JournalError

ExtType = msgpack.ExtType
Field: TypeAlias = Any
"""``bytes``, or a reference to the table ``blobs`` (see ``blobs.py``)."""

PREFIX_BYTES: Final = 5

# One packer for all: making one costs more than packing an event.  It is safe because it never calls back into
# Python while it packs, so no other thread can enter it.
pack_plain = msgpack.Packer().pack


def seal(version: bytes, plain: object) -> bytes:
    """The record of plain data; ``version`` is one byte."""
    body: bytes = version + pack_plain(plain)
    return crc32(body).to_bytes(4, "big") + body


def body_of(record: bytes, newest: int, place: str = "") -> bytes:
    """The MessagePack part of a record whose checksum and version are right.

    Raises:
        JournalError: damaged, or of a version above ``newest``.
    """
    body = record[4:]
    if len(record) <= PREFIX_BYTES or crc32(body) != int.from_bytes(record[:4], "big"):
        raise damaged("the checksum does not fit its bytes", place)
    if body[0] > newest or body[0] == 0:
        raise JournalError(
            f"the record is of version {body[0]}; this Flowmetal knows up to {newest}",
            place=place,
            remedy="upgrade flowmetal",
        )
    return body[1:]


def unseal(record: bytes, newest: int, place: str = "") -> Any:
    """The plain data of a record.

    Raises:
        JournalError: damaged, not MessagePack, or of a version above ``newest``.
    """
    return unpack_plain(body_of(record, newest, place), place)


def unpack_plain(body: bytes, place: str = "") -> Any:
    """The plain data of a record's MessagePack part.

    Raises:
        JournalError: not MessagePack.
    """
    try:
        return msgpack.unpackb(body)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise damaged(f"not MessagePack ({error or type(error).__name__})", place) from None


def damaged(what: str, place: str = "") -> JournalError:
    """The error for bytes that are not what was written."""
    return JournalError(
        f"the journal is damaged: {what}",
        place=place,
        remedy="`flowmetal verify` lists all damage; other runs are not affected",
    )
