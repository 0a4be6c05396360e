"""What a person does with the packages of a project: add, update, remove, look at, vendor."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowmetal.errors import DigestError, UsageError, did_you_mean
from flowmetal.package_graph import Graph, Request
from flowmetal.packages.archive import pack_archive
from flowmetal.packages.bounds import MAX_MANIFEST_BYTES
from flowmetal.packages.files import read_limited, read_lock_file, replace_file, turn_in
from flowmetal.packages.late import Conduct, PackagesOnDemand
from flowmetal.packages.layout import base_path
from flowmetal.packages.lock import LOCK_FILE, Lock
from flowmetal.packages.manifest import Manifest
from flowmetal.packages.manifest_editing import with_requirements
from flowmetal.packages.opening import VENDOR, manifest_in, open_releases
from flowmetal.packages.preparing import Prepared
from flowmetal.packages.publishing import publish
from flowmetal.packages.release import MANIFEST
from flowmetal.packages.releases import Releases
from flowmetal.packages.versions import Version

_LOOKS_ALIKE: Final = 0.95
Demand = Callable[[Conduct], PackagesOnDemand]


@dataclass(frozen=True, slots=True)
class Project:
    """A project in a folder; ``demand`` makes what resolves its packages."""

    root: Path
    demand: Demand

    @property
    def manifest(self) -> Manifest:
        """Its manifest, an empty one if there is none.

        Raises:
            UsageError: it is none.
        """
        return manifest_in(self.root) or Manifest()

    @property
    def lock(self) -> Lock:
        """Its lock.

        Raises:
            UsageError: it is none.
        """
        return read_lock_file(self.root / LOCK_FILE)

    def releases(self, offline: bool = False) -> Releases:
        """Where its packages come from.

        Raises:
            UsageError: a file that names registries is none.
        """
        return open_releases(self.root, self.manifest, self.demand(Conduct()).places, offline)

    def graph(self, conduct: Conduct) -> tuple[Graph, list[str]]:
        """All packages that the manifest leads to, and what is to be told of them.

        Raises:
            FlowmetalError: one of them cannot be had.
        """
        demand = self.demand(conduct)
        requests = [Request(package, "") for package in self.manifest.requires]
        return asyncio.run(demand.resolve(requests)), demand.notices

    def change(self, changes: Mapping[str, Version | None], conduct: Conduct) -> list[str]:
        """Changes what is required, and the lock with it; what is to be told.  If it fails, nothing has changed.

        Raises:
            FlowmetalError: the packages cannot be had as they are required then.
        """
        with turn_in(self.root):
            return self._changed(changes, conduct)

    def _changed(self, changes: Mapping[str, Version | None], conduct: Conduct) -> list[str]:
        path = self.root / MANIFEST
        data = read_limited(path, MAX_MANIFEST_BYTES) if path.exists() else None
        if data is not None and len(data) > MAX_MANIFEST_BYTES:
            raise UsageError(f"it has more than {MAX_MANIFEST_BYTES:,} bytes", place=str(path))
        before = data.decode("utf-8") if data is not None else None
        try:
            replace_file(path, with_requirements(before or "", changes, str(path)))
            return self.graph(conduct)[1]
        except BaseException:
            if before is None:
                path.unlink(missing_ok=True)
            else:
                replace_file(path, before)
            raise

    def newest(self, packages: Collection[str], offline: bool) -> dict[str, Version]:
        """The newest version of each package that is in use; a pre-release only where there is nothing else.

        Raises:
            FlowmetalError: one has no index, or no version.
        """

        async def find() -> dict[str, Version]:
            releases = self.releases(offline)
            try:
                return {package: _newest(package, await _usable(releases, package)) for package in packages}
            finally:
                await releases.origins.close()

        return asyncio.run(find())

    def require(self, package: str) -> None:
        """Raises ``UsageError`` unless the manifest requires a package."""
        requires = self.manifest.requires
        if package not in requires:
            raise UsageError(
                f"{self.root / MANIFEST} does not require {package}{did_you_mean(package, requires)}",
                remedy=f"it requires {', '.join(requires) or 'nothing'}",
            )

    def verify(self, offline: bool) -> Iterator[str]:
        """Looks at every package of the lock again, here and where it comes from; what is to be told.

        Raises:
            DigestError: one is something else than the lock says.
            FlowmetalError: one cannot be had.
        """
        lock = self.lock
        releases = self.releases(offline)
        manifest = self.manifest

        async def look() -> list[str]:
            found = []
            for each in lock.packages:
                replaced = manifest.replace.get(each.id)
                source = replaced.package if replaced is not None and replaced.package else each.id
                await releases.release(source, each.version, each.tree)
                if offline:
                    continue
                index = await releases.index(source)
                listed = index.versions.get(each.version)
                if listed is None:
                    found.append(f"{each.id} {each.version} is not in its registry any more")
                    continue
                document = await releases.document(source, each.version)
                if document.tree != each.tree:
                    raise DigestError(
                        f"{each.id} {each.version} is {each.tree} in the lock, and {document.tree} where it comes from",
                        remedy="a version never changes: ask its author, and use another version",
                    )
                if listed.yanked:
                    found.append(f"{each.id} {each.version} was yanked: `flowmetal pkg update {each.id}`")
            await releases.origins.close()
            return found

        yield from asyncio.run(look())

    def vendor(self, offline: bool, now: str) -> list[str]:
        """Writes the packages of the lock into the project, as a registry has them; what was written.

        Raises:
            FlowmetalError: one cannot be had, or the directory holds another version of the same name.
        """
        releases = self.releases(offline)
        lock = self.lock

        async def write() -> list[str]:
            written = []
            for each in lock.packages:
                found = await releases.release(each.id, each.version, each.tree)
                archive = pack_archive(found.files)
                base = self.root / VENDOR / base_path(each.id)
                _check_links(self.root, base / "flowmetal" / "v")
                _check_links(self.root, base / "flowmetal" / "a")
                ready = Prepared(found.facts, found.manifest, found.files, found.tree, found.exports, archive)
                done = publish(ready, base, now)
                if done.is_new or done.restored:
                    was = "" if done.is_new else ", which was missing or damaged"
                    written.append(f"{each.id} {each.version}{was}")
            await releases.origins.close()
            return written

        return asyncio.run(write())


def _check_links(root: Path, path: Path) -> None:
    """Raises ``UsageError`` if a folder between is a link: what others have put into a project leads out of it."""
    while path != root:
        if path.is_symlink():
            raise UsageError("it is a link, and packages are not written through it", place=str(path))
        path = path.parent


def chains(graph: Graph, package: str) -> Iterator[list[str]]:
    """Each way from the manifest to a package, shortest first, through every package once."""
    waiting = [[name] for name in sorted(graph.requires or {})]
    seen: set[str] = set()
    while waiting:
        chain = waiting.pop(0)
        last = chain[-1]
        if last == package:
            yield chain
            continue
        if last in seen or last not in graph.members:
            continue
        seen.add(last)
        waiting += [[*chain, name] for name in sorted(graph.members[last].requires) if name not in chain]


def lookalike(package: str, known: Iterable[str]) -> str | None:
    """A package whose name another differs from by next to nothing; a number more or less is a line of its own."""
    plain = re.sub("[0-9]+", "", package)
    others = [each for each in known if each != package and re.sub("[0-9]+", "", each) != plain]
    return next(iter(difflib.get_close_matches(package, others, 1, _LOOKS_ALIKE)), None)


async def _usable(releases: Releases, package: str) -> list[Version]:
    index = await releases.index(package)
    return [version for version, listed in index.versions.items() if not listed.yanked]


def _newest(package: str, versions: Collection[Version]) -> Version:
    if not versions:
        raise UsageError(f"{package} has no version that is in use")
    return max(versions, key=lambda version: (not version.prerelease, version))
