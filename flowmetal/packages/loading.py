"""All packages of one program: from what its root asks for to the files of each, by way of the lock.

A lock that covers the graph decides, and then nothing is asked but for the files that it names.  Otherwise versions are
selected anew, each must be what it was when it was first used here, and the lock is written; unless it is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from flowmetal.errors import NotLockedError, PackageError
from flowmetal.package_graph import Graph, Request
from flowmetal.packages.files import read_lock_file
from flowmetal.packages.first_use import FirstUse, changed
from flowmetal.packages.folders import read_folder
from flowmetal.packages.lock import Lock
from flowmetal.packages.locking import Root, Terms, member_of, relock
from flowmetal.packages.release import Release, release_of
from flowmetal.packages.releases import Releases
from flowmetal.packages.resolution import Described, all_of, select
from flowmetal.packages.versions import Version

_PINNED: Final = "sha256:"


class Loading:
    """Resolves the packages of a program; ``notices`` are what is to be said of it afterwards."""

    def __init__(self, root: Root, releases: Releases, first_use: FirstUse, terms: Terms) -> None:
        self._root = root
        self._releases = releases
        self._first_use = first_use
        self._terms = terms
        self._pins: dict[str, tuple[str, Version]] = {}
        self.notices: list[str] = []

    async def resolve(self, requests: Sequence[Request]) -> Graph:
        """The packages that the root program needs.

        Raises:
            FlowmetalError: one cannot be had; a ``PackageError`` says why.
        """
        try:
            return await self._resolve(requests)
        finally:
            await self._releases.origins.close()

    async def _resolve(self, requests: Sequence[Request]) -> Graph:
        manifest = self._root.manifest
        lock = read_lock_file(self._root.lock)
        requires = None if manifest is None else {name: str(least) for name, least in manifest.requires.items()}
        if manifest is not None and manifest.package is not None:
            _refuse_itself(manifest.package.name, requests)
        if manifest is None:
            roots = await self._asked(requests, lock)
        elif self._terms.anew or any(request.package in manifest.requires for request in requests):
            roots = dict(manifest.requires)
        else:
            return Graph(requires, {})  # who loads it is told that the manifest does not require it
        roots = self._without_carried(roots)
        releases, lacking = ({}, "") if self._terms.anew else await self._locked(roots, lock)
        if lacking or self._terms.anew:
            if self._terms.frozen and self._root.is_locked:
                is_there = self._root.lock.exists()
                raise NotLockedError(
                    f"{lacking}, " + (f"and {self._root.lock} is frozen" if is_there else "for there is none yet"),
                    remedy="run once without --frozen (CI sets it) and commit the lock",
                )
            releases = await self._selected(roots, lock)
            lock = relock(self._root, self._terms, releases, lock, self._first_use, self.notices)
        return Graph(
            requires, {package: member_of(self._root, package, found, lock) for package, found in releases.items()}
        )

    # -- what the root asks for ------------------------------------------------------------------------

    async def _asked(self, requests: Sequence[Request], lock: Lock) -> dict[str, Version]:
        """The least versions that a script's own load strings name."""
        roots: dict[str, Version] = {}
        unnamed = {request.package for request in requests if not request.requirement}
        for request in requests:
            if request.requirement.startswith(_PINNED):
                least = await self._releases.find_tree(request.package, request.requirement)
                before, _ = self._pins.setdefault(request.package, (request.requirement, least))
                if before != request.requirement:
                    raise PackageError(f"{request.package} is pinned to {before} and to {request.requirement}")
            elif request.requirement:
                least = Version.parse(request.requirement)
            else:
                continue
            roots[request.package] = max(roots.get(request.package, least), least)
        for package in sorted(unnamed - set(roots)):
            locked = lock.find(package)
            if locked is None:
                raise PackageError(
                    f"no version of {package} is named",
                    remedy=f'write load("{package}@VERSION", …), or [requires] it in a flowmetal.toml; '
                    f"`flowmetal pkg add {package}` does so",
                )
            roots[package] = locked.version
        return roots

    def _without_carried(self, requires: Mapping[str, Version]) -> dict[str, Version]:
        return {package: least for package, least in requires.items() if package not in self._root.carried}

    # -- finding them ----------------------------------------------------------------------------------

    async def _locked(self, roots: Mapping[str, Version], lock: Lock) -> tuple[dict[str, Release], str]:
        """The releases that a lock names, and what it lacks to be the whole of it, or ""."""
        found: dict[str, Release] = {}
        wave = dict(roots)
        while wave:
            fetched: list[tuple[str, Version, str | None]] = []
            for package, least in sorted(wave.items()):
                locked = lock.find(package)
                if self._root.folder(package) is not None:
                    fetched.append((package, least, None))
                    continue
                if locked is None:
                    return {}, f"{package} is not in the lock"
                if locked.version < least:
                    return {}, f"the lock has {package} {locked.version}, and {least} is required"
                if package in self._pins and self._pins[package][0] != locked.tree:
                    return {}, f"the lock has {package} as {locked.tree}, and {self._pins[package][0]} is asked for"
                fetched.append((package, locked.version, locked.tree))
            for (package, _, _), release in zip(
                fetched, await all_of(self._release(*it) for it in fetched), strict=True
            ):
                found[package] = release
            wave = {}
            for release in found.values():
                for package, least in self._without_carried(release.requires).items():
                    if package not in found:
                        wave[package] = max(wave.get(package, least), least)
                    elif self._root.folder(package) is None and found[package].facts.version < least:
                        return {}, f"the lock has {package} {found[package].facts.version}, and {least} is required"
        return found, ""

    async def _selected(self, roots: Mapping[str, Version], lock: Lock) -> dict[str, Release]:
        chosen = await select(roots, lambda package, version: self._describe(package, version, lock))
        for package, (pin, version) in self._pins.items():
            if chosen[package] != version:
                raise PackageError(f"{package} is pinned to {pin}, and {chosen[package]} is required")
        names = sorted(chosen)
        wanted = [(name, chosen[name], self._known_tree(name, chosen[name], lock)) for name in names]
        return dict(zip(names, await all_of(self._release(*each) for each in wanted), strict=True))

    async def _describe(self, package: str, version: Version, lock: Lock) -> Described:
        if self._root.folder(package) is not None:
            release = await self._release(package, version, None)
            return Described(version, self._without_carried(release.requires))
        source, tree = self._root.source(package), self._known_tree(package, version, lock)
        if tree is not None and self._releases.cache.has_tree(tree):
            release = await self._releases.release(source, version, tree)
            return Described(version, self._without_carried(release.requires))
        if tree is None and self._terms.frozen:
            raise NotLockedError(
                f"{package} {version} is in no lock and was never used here, and --frozen takes nothing unknown",
                remedy="run once without --frozen (CI sets it), or keep a lock beside the file and commit it",
            )
        index = await self._releases.index(source)
        listed = index.versions.get(version)
        if listed is not None and listed.yanked and tree is None:
            later = [each for each, about in index.versions.items() if each > version and not about.yanked]
            if not later:
                usable = [each for each, about in index.versions.items() if not about.yanked]
                raise PackageError(
                    f"{package} {version} was yanked, and there is no later version",
                    remedy=f"the newest in use is {max(usable)}" if usable else "",
                )
            self.notices.append(f"{package} {version} was yanked: {min(later)} is taken")
            version = min(later)
        document = await self._releases.document(source, version)
        if tree is not None and document.tree != tree:
            raise changed(package, version, tree, document.tree, f"it was {tree} when it was first used or locked")
        return Described(version, self._without_carried(document.requires))

    async def _release(self, package: str, version: Version, tree: str | None) -> Release:
        folder = self._root.folder(package)
        if folder is not None:
            return release_of(read_folder(folder), package)
        return await self._releases.release(self._root.source(package), version, tree)

    def _known_tree(self, package: str, version: Version, lock: Lock) -> str | None:
        """What a version must be, by a pin, the lock, or what it was when it was first used."""
        locked = lock.find(package)
        if package in self._pins and self._pins[package][1] == version:
            return self._pins[package][0]
        if locked is not None and locked.version == version:
            return locked.tree
        return self._first_use.tree_of(self._root.source(package), version)


def _refuse_itself(package: str, requests: Sequence[Request]) -> None:
    if any(request.package == package for request in requests):
        raise PackageError(
            f"this is {package} itself, and a package does not load itself by name",
            remedy='write "./file.flow", from this file\'s folder, or "//folder/file.flow", from the package\'s root',
        )
