"""A package by its name, for who only wants to look at it: no program loads it, and no lock is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flowmetal.errors import PackageError
from flowmetal.package_ids import PackageLabel
from flowmetal.packages.document import Index
from flowmetal.packages.files import read_lock_file
from flowmetal.packages.folders import read_folder
from flowmetal.packages.late import Places
from flowmetal.packages.lock import LOCK_FILE
from flowmetal.packages.manifest import Manifest, Registry
from flowmetal.packages.opening import manifest_in, open_releases
from flowmetal.packages.release import MANIFEST, Release, release_of
from flowmetal.packages.releases import Releases
from flowmetal.packages.toml_text import toml_string
from flowmetal.packages.versions import Version


async def find_release(wanted: PackageLabel, root: Path, places: Places, offline: bool) -> Release:
    """The release that a label means in the project of ``root``: as named, else as locked, else the newest in use.

    Raises:
        FlowmetalError: it cannot be had; a ``PackageError`` says why.
    """
    manifest = manifest_in(root) or Manifest()
    instead = manifest.replace.get(wanted.package)
    if instead is not None and instead.path:
        return release_of(read_folder(root / instead.path), wanted.package)
    releases = open_releases(root, manifest, places, offline)
    try:
        return await _found(wanted, root, releases)
    finally:
        await releases.origins.close()


def unfold(release: Release, folder: Path, root: Path) -> None:
    """Writes the files of a release into an empty folder, which becomes a project that takes packages as ``root`` does.

    Its own ``[replace]`` and ``[[registry]]`` do not count there, as they do not where it is loaded.

    Raises:
        UsageError: the manifest of ``root`` is none.
        OSError: of the operating system.
    """
    for path, data in release.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    lines = [
        "[package]",
        f"name = {toml_string(release.facts.name)}",
        f"version = {toml_string(str(release.facts.version))}",
        f"entry = {toml_string(release.facts.entry)}",
        "[requires]",
        *(f"{toml_string(package)} = {toml_string(str(least))}" for package, least in release.requires.items()),
    ]
    for registry in (manifest_in(root) or Manifest()).registries:
        at = _absolute(registry, root)
        lines += ["[[registry]]", f"prefix = {toml_string(at.prefix)}", f"url = {toml_string(at.url)}"]
    (folder / MANIFEST).write_text("\n".join([*lines, ""]), encoding="utf-8")


async def _found(wanted: PackageLabel, root: Path, releases: Releases) -> Release:
    package = wanted.package
    if wanted.digest:
        return await releases.release(package, await releases.find_tree(package, wanted.digest), wanted.digest)
    locked = read_lock_file(root / LOCK_FILE).find(package)
    if locked is not None and wanted.version in ("", str(locked.version)):
        return await releases.release(package, locked.version, locked.tree)
    version = Version.parse(wanted.version) if wanted.version else newest(await releases.index(package))
    return await releases.release(package, version)


def newest(index: Index) -> Version:
    """The newest version that is in use, before its release only if there is no other.

    Raises:
        PackageError: there is none.
    """
    usable = [version for version, listed in index.versions.items() if not listed.yanked]
    if not usable:
        raise PackageError(f"{index.package} has no version that may be used")
    return max(usable, key=lambda version: (not version.prerelease, version))


def _absolute(registry: Registry, root: Path) -> Registry:
    where = registry.url.removeprefix("file:")
    if where == registry.url or where.startswith(("/", "~")):
        return registry
    return replace(registry, url=f"file:{root / where}")
