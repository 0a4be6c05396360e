"""Packages on this machine, by what they are: nothing here is believed, every byte is hashed again when it is read.

    blob/sha256/ab/<digest>    a file of any number of packages
    tree/<digest>              the listing of a package
    doc/<digest>               a version's document
    index/<digest of its URL>  what a registry said last, which nothing vouches for

An entry is written beside its place, synced, made read-only and renamed, so that it is there whole or not at all; two
processes that write the same entry write the same bytes.  That is why there are no locks.  A listing is written after
its files, so whoever finds it finds them, unless somebody damaged them since.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowmetal.errors import HomeError, UsageError
from flowmetal.packages.bounds import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES, MAX_UNPACKED_BYTES
from flowmetal.packages.files import TEMPORARY, read_limited, write_whole
from flowmetal.packages.listing import listing_of, parse_listing

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MAX_ENTRY_BYTES: Final = MAX_UNPACKED_BYTES
_FRESH_SECONDS: Final = 3_600.0
"""What was written or used within this time is never removed: somebody may be about to need it."""


@dataclass(frozen=True, slots=True)
class CachedIndex:
    """What a registry said last, and the tag by which it tells whether that still holds."""

    data: bytes
    etag: str


class Cache:
    """The cache in a directory, which is made when something is kept in it.

    Attributes:
        damaged: paths of entries that were found to hold other bytes than their name says.

    Raises:
        HomeError: of the methods that write: the directory cannot be used.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.damaged: list[Path] = []

    # -- packages --------------------------------------------------------------------------------------

    def tree(self, digest: str) -> dict[str, bytes] | None:
        """The files of the package whose listing has that digest (``sha256:…``); None if one is missing or damaged."""
        path = self._tree_path(digest)
        data = self._read(path, path.name)
        if data is None:
            return None
        try:
            listing = parse_listing(data.decode("ascii"))
        except (UsageError, UnicodeDecodeError):
            return None
        files = {}
        for file in listing.files:
            content = self._read(self._blob_path(file.sha256), file.sha256)
            if content is None:
                return None
            files[file.path] = content
        with contextlib.suppress(OSError):  # the time of the last use; a cache that is only read has none
            os.utime(path)
        return files

    def has_tree(self, digest: str) -> bool:
        """Whether a listing of that digest is there, looked at by name only."""
        return self._tree_path(digest).is_file()

    def put_tree(self, files: Mapping[str, bytes]) -> str:
        """Keeps a package; its digest."""
        listing = listing_of(files)
        for file in listing.files:
            self._keep(self._blob_path(file.sha256), files[file.path], file.sha256)
        text = listing.text.encode("ascii")
        path = self._tree_path(listing.digest)
        self._keep(path, text, path.name)
        return listing.digest

    # -- what registries say ---------------------------------------------------------------------------

    def document(self, digest: str) -> bytes | None:
        """The document with that SHA-256 in hexadecimal digits."""
        return self._read(self.directory / "doc" / _checked(digest), digest)

    def put_document(self, data: bytes) -> None:
        """Keeps a document."""
        digest = hashlib.sha256(data).hexdigest()
        if len(data) <= MAX_DOCUMENT_BYTES:
            self._keep(self.directory / "doc" / digest, data, digest)

    def index(self, url: str) -> CachedIndex | None:
        """What was kept of the index at a URL."""
        try:
            data = read_limited(self._index_path(url), MAX_INDEX_BYTES + 8_192, follow=False)
        except OSError:
            return None
        head, _, body = data.partition(b"\n")
        try:
            about = json.loads(head)
            found = about["url"] == url and about["sha256"] == hashlib.sha256(body).hexdigest()
            return CachedIndex(body, str(about["etag"])) if found else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None

    def put_index(self, url: str, index: CachedIndex) -> None:
        """Keeps an index."""
        about = {"url": url, "etag": index.etag, "sha256": hashlib.sha256(index.data).hexdigest()}
        self._write(self._index_path(url), json.dumps(about).encode() + b"\n" + index.data)

    # -- housekeeping ----------------------------------------------------------------------------------

    def trees(self) -> Iterator[tuple[str, int, float]]:
        """Every package: its digest, the bytes of its files, when it was last used."""
        for path in self._entries(self.directory / "tree"):
            data = self._read(path, path.name)
            if data is not None:
                listing = parse_listing(data.decode("ascii"))
                yield listing.digest, listing.unpacked_bytes, path.stat().st_mtime

    def verify(self) -> tuple[int, list[Path]]:
        """How many entries there are, and those that are damaged."""
        self.damaged.clear()
        count = 0
        for folder in [self.directory / "tree", self.directory / "doc", *self._blob_folders()]:
            for path in self._entries(folder):
                count += 1
                self._read(path, path.name)
        return count, list(self.damaged)

    def collect(self, unused_seconds: float) -> tuple[int, int]:
        """Removes packages that were not used for so long, and what only they needed; how many files and bytes."""
        now = time.time()
        needed: set[str] = set()
        doomed: list[Path] = []
        for path in self._entries(self.directory / "tree"):
            data = self._read(path, path.name)
            if data is not None and now - path.stat().st_mtime < unused_seconds:
                needed.update(file.sha256 for file in parse_listing(data.decode("ascii")).files)
            else:
                doomed.append(path)
        for folder in self._blob_folders():
            doomed += [path for path in self._entries(folder) if path.name not in needed]
        doomed += self._entries(self.directory / "doc")
        doomed += self._entries(self.directory / "index")
        doomed += list(self.directory.glob(f"**/{TEMPORARY}*"))
        files = size = 0
        for path in doomed:
            with contextlib.suppress(OSError):  # somebody else removed it, or it is in use
                found = path.lstat()
                if now - found.st_mtime >= min(unused_seconds, _FRESH_SECONDS):
                    path.unlink()
                    files, size = files + 1, size + found.st_size
        return files, size

    # -- files -----------------------------------------------------------------------------------------

    def _tree_path(self, digest: str) -> Path:
        return self.directory / "tree" / _checked(digest.removeprefix("sha256:"))

    def _blob_path(self, digest: str) -> Path:
        return self.directory / "blob" / "sha256" / digest[:2] / _checked(digest)

    def _index_path(self, url: str) -> Path:
        return self.directory / "index" / hashlib.sha256(url.encode()).hexdigest()

    def _blob_folders(self) -> list[Path]:
        return [path for path in sorted((self.directory / "blob" / "sha256").glob("[0-9a-f][0-9a-f]")) if path.is_dir()]

    def _entries(self, folder: Path) -> list[Path]:
        return [path for path in sorted(folder.glob("*")) if _HEX.fullmatch(path.name)]

    def _read(self, path: Path, digest: str) -> bytes | None:
        try:
            data = read_limited(path, _MAX_ENTRY_BYTES, follow=False)
        except FileNotFoundError:
            return None
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() == digest:
            return data
        if path not in self.damaged:
            self.damaged.append(path)
        return None

    def _keep(self, path: Path, data: bytes, digest: str) -> None:
        if self._read(path, digest) is not None:
            with contextlib.suppress(OSError):  # somebody else's, and only read
                os.utime(path)
            return
        self._write(path, data)

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self._make_folder(path.parent)
            write_whole(path, data, 0o444)
        except OSError as error:
            remedy = "FLOWMETAL_CACHE names another directory for it"
            raise HomeError(f"the cache cannot be written: {error.strerror}", place=str(path), remedy=remedy) from None

    def _make_folder(self, folder: Path) -> None:
        """Makes a folder below the directory; none of those between may be a link, which could lead anywhere."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while folder != self.directory:
            if not stat.S_ISDIR(folder.lstat().st_mode):
                raise OSError(errno.ELOOP, "a folder of it is a link", str(folder))
            folder = folder.parent


def _checked(digest: str) -> str:
    if not _HEX.fullmatch(digest):
        raise UsageError(f"`{digest[:80]}` is not the digest of anything")
    return digest
