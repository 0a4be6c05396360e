"""What a lock says of packages that were selected: which bytes they are, and what was accepted of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowmetal.errors import NotAcceptedError
from flowmetal.package_graph import Member
from flowmetal.packages.files import write_lock
from flowmetal.packages.first_use import FirstUse
from flowmetal.packages.lock import Lock, Locked
from flowmetal.packages.manifest import Manifest
from flowmetal.packages.release import Release


@dataclass(frozen=True, slots=True)
class Root:
    """The program that packages are for.

    ``manifest`` is None of a script without one; ``directory`` is the manifest's own; ``lock`` is the file of the
    lock, which a script has only if it is there; ``carried`` are the packages that come with Flowmetal.
    """

    directory: Path
    manifest: Manifest | None
    lock: Path
    carried: Collection[str]

    @property
    def is_locked(self) -> bool:
        """Whether there is, or will be, a lock."""
        return self.manifest is not None or self.lock.is_file()

    def source(self, package: str) -> str:
        """The package that is taken for ``package``: itself, unless the manifest replaces it by another."""
        replaced = self.manifest.replace.get(package) if self.manifest is not None else None
        return replaced.package if replaced is not None and replaced.package else package

    def folder(self, package: str) -> Path | None:
        """The folder that is taken for a package, None if none is."""
        replaced = self.manifest.replace.get(package) if self.manifest is not None else None
        return self.directory / replaced.path if replaced is not None and replaced.path else None


@dataclass(frozen=True, slots=True)
class Terms:
    """How packages may be had: ``frozen`` adds nothing to the lock; ``accept`` are packages that may need more.

    ``anew`` takes no notice of what is locked but for comparing.
    """

    frozen: bool = False
    accept: Collection[str] = ()
    anew: bool = False


def relock(
    root: Root, terms: Terms, releases: Mapping[str, Release], before: Lock, first_use: FirstUse, notices: list[str]
) -> Lock:
    """The lock of releases that were selected, written if it may be; what is new in it goes to ``notices``.

    Raises:
        PackageError: one may need more than was accepted.
        DigestError: one is something else than it was.
        HomeError: what is written cannot be.
    """
    entries = []
    for package, release in releases.items():
        if root.folder(package) is None:
            is_new = first_use.remember(root.source(package), release.facts.version, release.tree)
            entries.append(_entry(root, terms, package, release, before.find(package)))
            if before.find(package) != entries[-1] and (root.is_locked or is_new):
                notices.append(_news(root, entries[-1], before.find(package)))
    lock = Lock(tuple(entries))
    for gone in sorted({each.id for each in before.packages} - {each.id for each in entries}):
        notices.append(f"{root.lock.name}: {gone} is not needed any more")
    if root.is_locked and lock != before and not terms.frozen:
        write_lock(root.lock, lock)
    return lock


def _news(root: Root, entry: Locked, before: Locked | None) -> str:
    may = f"; its code may need {', '.join(entry.permissions)}" if entry.permissions else ""
    was = f"{before.version} → " if before is not None else ""
    where = root.lock.name if root.is_locked else "used for the first time"
    return f"{where}: {entry.id} {was}{entry.version} {entry.tree[:19]}…{may}"


def _entry(root: Root, terms: Terms, package: str, release: Release, before: Locked | None) -> Locked:
    permissions = release.permissions
    version = release.facts.version
    if before is not None and before.tree == release.tree:
        return Locked(package, version, release.tree, before.permissions)
    if before is not None:
        more = sorted(set(permissions) - set(before.permissions))
        if more and package not in terms.accept:
            raise NotAcceptedError(
                f"{package} {version} may need more than was accepted of {before.version}: {', '.join(more)}",
                remedy=f"to accept it: flowmetal pkg update --accept {package}"
                if root.manifest is not None
                else f"to accept it, remove its block from {root.lock}",
            )
    return Locked(package, version, release.tree, permissions)


def member_of(root: Root, package: str, release: Release, lock: Lock) -> Member:
    """What a graph has of a package: with no more permissions than the lock says were accepted."""
    locked = lock.find(package)
    is_folder = root.folder(package) is not None
    accepted = release.permissions
    if locked is not None and not is_folder:
        accepted = tuple(each for each in accepted if each in locked.permissions)
    return Member(
        package,
        "" if is_folder else str(release.facts.version),
        "" if is_folder else release.tree,
        release.facts.entry,
        {name: str(least) for name, least in release.requires.items()},
        release.exports,
        accepted,
        {path: data for path, data in release.files.items() if path.endswith(".flow")},
    )
