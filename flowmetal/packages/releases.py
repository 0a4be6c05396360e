"""One version of a package: found in an index, described by its document, unpacked from its archive, kept in the cache.

What is believed is the digest at which a chain begins: of the document, which the index has; or of the tree, which a
lock has, and then no index is asked.  The manifest that decides is the one in the tree; a document that says something
else is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Final

from flowmetal.errors import DigestError, NotCachedError, PackageError, UnreachableError, UsageError
from flowmetal.packages.archive import unpack_archive
from flowmetal.packages.bounds import MAX_ARCHIVE_BYTES, MAX_DOCUMENT_BYTES, MAX_GRAPH_BYTES, MAX_INDEX_BYTES
from flowmetal.packages.cache import Cache, CachedIndex
from flowmetal.packages.document import Index, VersionDocument, parse_document, parse_index
from flowmetal.packages.first_use import changed
from flowmetal.packages.layout import INDEX, archive_path, document_path
from flowmetal.packages.listing import listing_of
from flowmetal.packages.meter import Meter, NoMeter
from flowmetal.packages.origins import Base, Fetched, Origins
from flowmetal.packages.release import Release, check_against, release_of
from flowmetal.packages.versions import Version

_MOST_SEARCHED: Final = 64
_AT_ONCE: Final = 16
_KEPT: Final = "it was there when it was published: nothing is ever removed from a registry, so ask who keeps this one"


class Releases:
    """Versions of packages, from the cache or from where they are.

    Args:
        origins: where packages are.
        cache: what is on this machine.
        offline: whether no socket may be opened; directories are read all the same.
        meter: is told of what is fetched.

    Raises:
        PackageError: of every method: what came is not what it must be.
        UnreachableError: of every method: where it comes from has nothing, or does not answer.
        NotCachedError: of every method: it is not on this machine, and no socket may be opened.
    """

    def __init__(self, origins: Origins, cache: Cache, offline: bool = False, meter: Meter | None = None) -> None:
        self.origins = origins
        self.cache = cache
        self._offline = offline
        self._meter = meter or NoMeter()
        self._indexes: dict[str, Index] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._taken: dict[str, int] = {}

    async def index(self, package: str) -> Index:
        """All versions that the package has, asked for once; offline, those that were last seen."""
        if package not in self._indexes:
            base = self.origins.base_of(package)
            data = await self._index_data(package, base)
            self._take(f"{package} {INDEX}", len(data))
            try:
                index = parse_index(data, "")
                if index.package != package:
                    raise UsageError(f"it is that of {index.package}")
            except UsageError as error:
                raise _refused(f"the index of {package}", error, base) from None
            self._indexes[package] = index
        return self._indexes[package]

    async def document(self, package: str, version: Version) -> VersionDocument:
        """The document that the index names."""
        listed = (await self.index(package)).versions.get(version)
        base = self.origins.base_of(package)
        if listed is None:
            raise UnreachableError(f"{package} has no version {version}", remedy=await self._newest(package))
        data = self.cache.document(listed.doc)
        if data is None:
            data = await self._document_data(base, package, version)
            digest = hashlib.sha256(data).hexdigest()
            if digest != listed.doc:
                raise DigestError(
                    f"the document of {package} {version} is sha256:{digest}, its index says sha256:{listed.doc}",
                    remedy=f"{base} is damaged, or is being changed at this moment",
                )
            self.cache.put_document(data)
        return self._parsed(data, package, version, base)

    async def release(self, package: str, version: Version, tree: str | None = None) -> Release:
        """The files of a version; ``tree`` is what its digest must be, if that is known.

        Raises:
            DigestError: it is something else; names both digests.
        """
        self._take(package, 0)
        files = self.cache.tree(tree) if tree is not None else None
        if files is None:
            self._meter.expect(package)
            files = await self._files(package, version, tree)
            self._meter.done(package)
        self._take(f"{package} {version}", sum(map(len, files.values())))
        found = release_of(files, package)
        if found.facts.version != version:
            raise PackageError(f"{package} {version} says of itself that it is {found.facts.version}")
        return found

    async def find_tree(self, package: str, tree: str) -> Version:
        """The version whose tree has that digest."""
        files = self.cache.tree(tree)
        if files is not None:
            return release_of(files, package).facts.version
        index = await self.index(package)
        for version in sorted(index.versions, reverse=True)[:_MOST_SEARCHED]:
            if (await self.document(package, version)).tree == tree:
                return version
        raise UnreachableError(f"{package} has no version that is {tree}", remedy=await self._newest(package))

    # -- fetching --------------------------------------------------------------------------------------

    async def _index_data(self, package: str, base: Base) -> bytes:
        url = f"{base}#{package}"
        before = self.cache.index(url)
        if self._offline and base.directory is None:
            if before is None:
                raise self._absent(package, "no index of it")
            return before.data
        came = await self._get(base, INDEX, MAX_INDEX_BYTES, before.etag if before else "")
        if came is None:
            remedy = "is its name right? A [[registry]] in flowmetal.toml says where else it is"
            raise UnreachableError(f"there is no package {package} at {base}", remedy=remedy)
        if came.data is None:
            return before.data if before else b""
        if base.directory is None:
            self.cache.put_index(url, CachedIndex(came.data, came.etag))
        return came.data

    async def _document_data(self, base: Base, package: str, version: Version) -> bytes:
        if self._offline and base.directory is None:
            raise self._absent(f"{package} {version}", "no document of it")
        came = await self._get(base, document_path(version), MAX_DOCUMENT_BYTES)
        if came is None or came.data is None:
            raise UnreachableError(f"{package} {version} is not at {base}", remedy=_KEPT)
        return came.data

    async def _files(self, package: str, version: Version, tree: str | None) -> dict[str, bytes]:
        base = self.origins.base_of(package)
        vendored = self.origins.vendored(package)
        if tree is None:
            document = await self.document(package, version)
        else:
            # What it must be is known: any place that has it will do, and no index is needed.
            base = vendored or base
            document = self._parsed(await self._document_data(base, package, version), package, version, base)
            if document.tree != tree:
                raise changed(package, version, tree, document.tree, f"it was {tree} when it was first used or locked")
        if self._offline and base.directory is None:
            raise self._absent(f"{package} {version}", document.tree)
        came = await self._get(base, archive_path(document.archive.sha256), MAX_ARCHIVE_BYTES)
        if came is None or came.data is None:
            raise UnreachableError(f"the archive of {package} {version} is not at {base}", remedy=_KEPT)
        digest = hashlib.sha256(came.data).hexdigest()
        if digest != document.archive.sha256:
            again = "; `flowmetal pkg vendor` writes it again" if base == vendored else ""
            raise DigestError(
                f"the archive of {package} {version} is sha256:{digest}, "
                f"its document says sha256:{document.archive.sha256}",
                remedy=f"{base} is damaged, or is being changed at this moment{again}",
            )
        try:
            files = await asyncio.to_thread(unpack_archive, came.data, document.archive)
            listing = listing_of(files)
        except UsageError as error:
            raise PackageError(f"{package} {version}: {error.message}", remedy=f"it came from {base}") from None
        if listing.digest != document.tree:
            raise DigestError(
                f"the files of {package} {version} are {listing.digest}, its document says {document.tree}",
                remedy=f"it came from {base}",
            )
        check_against(release_of(files, package), document)
        await asyncio.to_thread(self.cache.put_tree, files)
        return files

    async def _get(self, base: Base, path: str, limit_bytes: int, etag: str = "") -> Fetched | None:
        async with self._turns:
            return await self.origins.get(base, path, limit_bytes, etag)

    def _take(self, what: str, size: int) -> None:
        """Counts what is kept in memory while packages are resolved: each is small, and a stranger says how many."""
        self._taken[what] = size
        if sum(self._taken.values()) > MAX_GRAPH_BYTES:
            raise PackageError(
                f"the packages of the program have more than {MAX_GRAPH_BYTES:,} bytes together, the limit"
            )

    def _parsed(self, data: bytes, package: str, version: Version, base: Base) -> VersionDocument:
        try:
            document = parse_document(data, "")
            if (document.package, document.version) != (package, version):
                raise UsageError(f"it is that of {document.package} {document.version}")
        except UsageError as error:
            raise _refused(f"the document of {package} {version}", error, base) from None
        return document

    def _absent(self, what: str, lacks: str) -> NotCachedError:
        damaged = f"; damaged: {self.cache.damaged[0]}" if self.cache.damaged else ""
        return NotCachedError(
            f"{what} is not on this machine, and --offline opens no socket ({lacks}{damaged})",
            remedy="run once without --offline, or `flowmetal pkg vendor` where there is a network",
        )

    async def _newest(self, package: str) -> str:
        index = await self.index(package)
        usable = [version for version, listed in index.versions.items() if not listed.yanked]
        return f"its newest version is {max(usable)}" if usable else "it has no version that may be used"


def _refused(what: str, error: UsageError, base: Base) -> PackageError:
    remedy = error.remedy or f"it came from {base}; is that a registry? One says 404 of what it does not have"
    return PackageError(f"{what} is none: {error.message}", remedy=remedy)
