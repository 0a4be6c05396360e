"""Putting a release where others load it from: files that any web server, object store or git host can carry.

The index is written last, by a rename, and names only what is there already: whoever looks sees a whole registry,
wherever a publisher was killed.  Publishers of one package take turns by a lock on its folder, which a kill releases.
A version that is there is never changed; publishing the same files again is no error, and restores what is missing or
damaged.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from flowmetal.errors import UsageError
from flowmetal.packages.bounds import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES
from flowmetal.packages.document import Index, Listed, VersionDocument, parse_document, parse_index
from flowmetal.packages.durable import clear_leftovers, make_folder, put_file
from flowmetal.packages.files import read_limited
from flowmetal.packages.layout import INDEX, archive_path, base_path, document_path
from flowmetal.packages.preparing import Prepared
from flowmetal.packages.versions import Version


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did, or would do.

    ``is_new`` is false where the registry had the same version already.  ``previous`` is the version before it, None
    for the first; ``added`` and ``removed`` are the permissions by which it differs from that.  ``restored`` are the
    paths of files of an earlier publishing that were missing or damaged.
    """

    document: VersionDocument
    is_new: bool
    previous: Version | None
    added: tuple[str, ...]
    removed: tuple[str, ...]
    restored: tuple[str, ...] = ()


def publish(release: Prepared, base: Path, now: str) -> Published:
    """Publishes a release below ``base``, durably; ``now`` is a time such as ``2026-01-31T23:59:59Z``.

    Raises:
        UsageError: the version is there with other files, or what is there is no registry of this package.
        OSError: of the operating system; the registry is as it was.
    """
    with _turn(base):
        published = plan(release, base, now)
        document = published.document
        files = {document_path(document.version): document.data}
        if hashlib.sha256(release.archive).hexdigest() == document.archive.sha256:
            files = {archive_path(document.archive.sha256): release.archive, **files}
        lost = [path for path, data in files.items() if not _is_there(base / path, data)]
        for path in lost:
            put_file(base / path, files[path])
        if published.is_new:
            index = _index_of(base, document.package)
            data = index.with_version(document.version, Listed(document.sha256, document.published)).data
            if len(data) > MAX_INDEX_BYTES:
                raise UsageError(
                    f"the index would have {len(data):,} bytes; the limit is {MAX_INDEX_BYTES:,}",
                    place=str(base / INDEX),
                    remedy="go on under another name",
                )
            put_file(base / INDEX, data)
    return published if published.is_new else replace(published, restored=tuple(lost))


def plan(release: Prepared, base: Path, now: str) -> Published:
    """What ``publish`` would do; nothing is written.

    Raises:
        UsageError: as ``publish``.
    """
    version = release.facts.version
    index = _index_of(base, release.facts.name)
    listed = index.versions.get(version)
    if listed is None:
        document = release.document(now)
        if len(document.data) > MAX_DOCUMENT_BYTES:
            raise UsageError(
                f"the document would have {len(document.data):,} bytes; the limit is {MAX_DOCUMENT_BYTES:,}"
            )
    else:
        document = _same(release, base, listed)
    earlier = [each for each in index.versions if each < version]
    previous = max(earlier, default=None)
    before = set(_document_of(base, index, previous).permissions) if previous is not None else set()
    now_needed = set(document.permissions)
    return Published(
        document,
        listed is None,
        previous,
        tuple(sorted(now_needed - before)),
        tuple(sorted(before - now_needed)),
    )


def base_in(registry: Path, package: str, *, bare: bool = False) -> Path:
    """Where a package is in a directory of many, or the directory itself where it is ``bare``: of that one package."""
    return registry if bare else registry / base_path(package)


def yank(base: Path, package: str, version: Version, *, undo: bool = False) -> Index:
    """Marks a version as not to be chosen any more, or takes the mark off; the index as it is then.

    Raises:
        UsageError: there is no such version, or no registry.
        OSError: of the operating system; the registry is as it was.
    """
    if not (base / INDEX).exists():
        raise UsageError(
            f"{package} is not in this registry: there is no {INDEX} in {base}",
            remedy="name the directory that it was published to, and --bare if it was",
        )
    with _turn(base):
        index = _index_of(base, package)
        listed = index.versions.get(version)
        if listed is None:
            known = ", ".join(map(str, sorted(index.versions)[-10:]))
            raise UsageError(f"{index.package} has no version {version} in {base}", remedy=f"it has {known}")
        index = index.with_version(version, Listed(listed.doc, listed.published, not undo))
        put_file(base / INDEX, index.data)
    return index


def _is_there(path: Path, data: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(data) + 1) == data
    except FileNotFoundError:
        return False


def _index_of(base: Path, package: str) -> Index:
    path = base / INDEX
    try:
        data = read_limited(path, MAX_INDEX_BYTES)
    except FileNotFoundError:
        return Index(package)
    index = parse_index(data, str(path))
    if index.package != package:
        raise UsageError(f"this is the registry of {index.package}, and not of {package}", place=str(path))
    return index


def _document_of(base: Path, index: Index, version: Version) -> VersionDocument:
    path = base / document_path(version)
    try:
        document = parse_document(read_limited(path, MAX_DOCUMENT_BYTES), str(path))
    except FileNotFoundError:
        raise UsageError(
            f"the index names {version}, and its document is not there",
            place=str(path),
            remedy="publish that version again from the same files",
        ) from None
    if document.sha256 != index.versions[version].doc:
        raise UsageError("the document is not the one that the index names", place=str(path))
    return document


def _same(release: Prepared, base: Path, listed: Listed) -> VersionDocument:
    """The document of a version that is there already, if it is of the same files."""
    again = release.document(listed.published)
    if again.sha256 == listed.doc:
        return again
    there = _document_of(base, Index(again.package, {again.version: listed}), again.version)
    if there.tree == again.tree:
        return there
    raise UsageError(
        f"{again.package} {again.version} is published with other files: {there.tree}, and here {again.tree}",
        place=str(base / document_path(again.version)),
        remedy="what is published never changes: raise the version in [package]",
    )


@contextlib.contextmanager
def _turn(base: Path) -> Iterator[None]:
    folder = base / "flowmetal"
    make_folder(folder)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for each in (folder, folder / "v", folder / "a"):
            clear_leftovers(each)
        yield
    finally:
        os.close(lock)
