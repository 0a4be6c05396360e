"""A package as one file: regular files in a ustar archive, compressed with gzip.

Who reads one has it from a stranger, so it is read here and not by a library that knows every dialect of tar: a header
is that of a regular file, or the archive is refused; no name is ever given to the file system; and no byte is unpacked
before there is room for it.  Modes, times and owners are written as constants and not looked at.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.package_ids import check_path, divide_path
from flowmetal.packages.bounds import MAX_ARCHIVE_BYTES, MAX_FILES, MAX_RATIO, MAX_UNPACKED_BYTES
from flowmetal.packages.listing import check_paths, check_size, listing_of
from flowmetal.permissions.texts import plain
from flowmetal.settings import MIB

_BLOCK: Final = 512
_CHUNK: Final = 64 * 1024
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"  # no name, no time, no system
_MODEST_BYTES: Final = 1 * MIB
_HEADER: Final = struct.Struct("100s 8s 8s 8s 12s 12s 8s c 100s 8s 32s 32s 8s 8s 155s 12x")
_KINDS: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a pipe",
    b"7": "a contiguous file",
    b"L": "a long name of GNU tar",
    b"K": "a long link of GNU tar",
    b"S": "a sparse file of GNU tar",
    b"x": "a pax header",
    b"g": "a pax header",
}


@dataclass(frozen=True, slots=True)
class ArchiveFacts:
    """What a document says of its archive: SHA-256 in hexadecimal digits, size, bytes unpacked, number of files."""

    sha256: str
    size: int
    unpacked: int
    files: int


def facts_of(archive: bytes, files: Mapping[str, bytes]) -> ArchiveFacts:
    """The facts of an archive of ``files``."""
    return ArchiveFacts(hashlib.sha256(archive).hexdigest(), len(archive), sum(map(len, files.values())), len(files))


def pack_archive(files: Mapping[str, bytes]) -> bytes:
    """The archive of files by their paths: the same bytes for the same files, with one and the same zlib.

    Raises:
        UsageError: files that no package may have, or an archive that ``unpack_archive`` would refuse.
    """
    listing_of(files)
    parts = []
    for path in sorted(files):
        data = files[path]
        parts += [_header(path, len(data)), data, bytes(-len(data) % _BLOCK)]
    tar = b"".join([*parts, bytes(2 * _BLOCK)])
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(tar) + deflate.flush()
    archive = _GZIP_HEADER + body + struct.pack("<II", zlib.crc32(tar), len(tar))
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise UsageError(f"the archive has {len(archive):,} bytes; the limit is {MAX_ARCHIVE_BYTES:,}")
    _check_ratio(sum(map(len, files.values())), len(archive))
    return archive


def unpack_archive(archive: bytes, facts: ArchiveFacts | None = None) -> dict[str, bytes]:
    """The files of an archive by their paths; ``facts`` are what its document says of it.

    Raises:
        UsageError: it is not what the facts say, or no archive of a package; says how.
    """
    if len(archive) > MAX_ARCHIVE_BYTES:
        raise UsageError(f"the archive has more than {MAX_ARCHIVE_BYTES:,} bytes, the limit")
    if facts is not None:
        _check_facts(archive, facts)
    reader = _Inflated(archive)
    files: dict[str, bytes] = {}
    unpacked = 0
    most = min(MAX_UNPACKED_BYTES, facts.unpacked) if facts is not None else MAX_UNPACKED_BYTES
    while any(block := reader.read(_BLOCK)):
        path, size = _parse_header(block)
        if path in files:
            raise UsageError(f"`{path}` is in the archive twice")
        if len(files) == (MAX_FILES if facts is None else facts.files):
            raise UsageError(f"the archive has more than {len(files):,} files")
        check_size(path, size)
        unpacked += size
        if unpacked > most:
            raise UsageError(f"the archive unpacks to more than {most:,} bytes")
        _check_ratio(unpacked, len(archive))
        files[path] = reader.read(size)
        if any(reader.read(-size % _BLOCK)):
            raise UsageError(f"there is something between the end of `{path}` and the next file of the archive")
    if any(reader.read(_BLOCK)):
        raise UsageError("the archive goes on behind its end")
    reader.end()
    check_paths(files)
    if facts is not None and (unpacked, len(files)) != (facts.unpacked, facts.files):
        raise UsageError(
            f"the archive has {len(files):,} files of {unpacked:,} bytes; "
            f"its document says {facts.files:,} of {facts.unpacked:,}"
        )
    return files


class _Inflated:
    """The bytes inside gzip, as many at a time as are asked for."""

    def __init__(self, archive: bytes) -> None:
        self._rest = archive
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def read(self, size: int) -> bytes:
        parts = []
        while size:
            if self._inflate.eof:
                raise UsageError("the archive ends in the middle of a file")
            part = self._next(min(size, _CHUNK))
            if not part and not self._rest and not self._inflate.eof:
                raise UsageError("the archive is cut off")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def end(self) -> None:
        """Raise unless all has been read, and the sums at the end are right."""
        while not self._inflate.eof:
            if self._next(1):
                raise UsageError("the archive goes on behind its end")
            if not self._rest and not self._inflate.eof:
                raise UsageError("the archive is cut off")
        if self._inflate.unused_data:
            raise UsageError(f"{len(self._inflate.unused_data):,} bytes follow the archive")

    def _next(self, size: int) -> bytes:
        try:
            part = self._inflate.decompress(self._rest, size)
        except zlib.error as error:
            raise UsageError(f"the archive is not gzip, or damaged: {error}") from None
        self._rest = self._inflate.unconsumed_tail
        return part


def _check_facts(archive: bytes, facts: ArchiveFacts) -> None:
    if len(archive) != facts.size:
        raise UsageError(f"the archive has {len(archive):,} bytes; its document says {facts.size:,}")
    digest = hashlib.sha256(archive).hexdigest()
    if digest != facts.sha256:
        raise UsageError(f"the archive's SHA-256 is {digest}; its document says {facts.sha256}")


def _check_ratio(unpacked: int, packed: int) -> None:
    if unpacked > max(_MODEST_BYTES, MAX_RATIO * packed):
        raise UsageError(
            f"the archive has {packed:,} bytes and unpacks to {unpacked:,} or more: over {MAX_RATIO} times its size"
        )


def _header(path: str, size: int) -> bytes:
    prefix, name = divide_path(path) or ("", "")
    fields = [
        name.encode("ascii"),
        b"0000644\0",
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % size,
        b"00000000000\0",
        b" " * 8,
        b"0",
        b"",
        b"ustar\x0000",
        b"",
        b"",
        b"0000000\0",
        b"0000000\0",
        prefix.encode("ascii"),
    ]
    fields[6] = b"%06o\0 " % sum(_HEADER.pack(*fields))
    return _HEADER.pack(*fields)


def _parse_header(block: bytes) -> tuple[str, int]:
    """Path and size of a regular file."""
    fields = _HEADER.unpack(block)
    name, size, checksum, kind, link, magic, prefix = (fields[at] for at in (0, 4, 6, 7, 8, 9, 14))
    if magic != b"ustar\x0000":
        raise UsageError("the archive is no ustar: a header has another mark")
    if _octal(checksum) != sum(block[:148]) + 8 * ord(" ") + sum(block[156:]):
        raise UsageError("a header of the archive has a wrong sum")
    path = "/".join(part for part in (_text(prefix), _text(name)) if part)
    if kind != b"0" or any(link):
        what = _KINDS.get(kind, "a file with a link" if kind == b"0" else f"of the kind {kind!r}")
        raise UsageError(f"`{plain(path)}` in the archive is {what}; a package has regular files only")
    return check_path(path), _octal(size)


def _text(field: bytes) -> str:
    text, _, rest = field.partition(b"\0")
    if any(rest):
        raise UsageError("a name in the archive goes on behind its end")
    return text.decode("latin-1")


def _octal(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not digits or not all(each in b"01234567" for each in digits):
        raise UsageError("a number in a header of the archive is not octal")
    return int(digits, 8)
