"""A package that is ready to be published: read from its folder, checked as far as text goes, packed."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.language.dialect import DIALECT
from flowmetal.language.scan import decode_source, load_strings
from flowmetal.package_ids import parse_label
from flowmetal.packages.archive import facts_of, pack_archive
from flowmetal.packages.bounds import MAX_MANIFEST_BYTES
from flowmetal.packages.document import VersionDocument
from flowmetal.packages.fields import at
from flowmetal.packages.files import read_limited
from flowmetal.packages.gathering import MANIFEST, gather_files
from flowmetal.packages.listing import listing_of
from flowmetal.packages.manifest import Manifest, PackageFacts, exported_files, read_manifest

_INSIDE: Final = ("//", "./", "../")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What will be published: ``exports`` are the files that others may load, ``archive`` its bytes."""

    facts: PackageFacts
    manifest: Manifest
    files: Mapping[str, bytes]
    tree: str
    exports: tuple[str, ...]
    archive: bytes

    def document(self, published: str) -> VersionDocument:
        """Its document, were it published at that time."""
        return VersionDocument(
            package=self.facts.name,
            version=self.facts.version,
            tree=self.tree,
            archive=facts_of(self.archive, self.files),
            entry=self.facts.entry,
            exports=self.exports,
            requires=self.manifest.requires,
            dialect=self.facts.dialect,
            min_flowmetal=self.facts.min_flowmetal,
            permissions=self.manifest.permissions,
            published=published,
            license=self.facts.license,
            description=self.facts.description,
            source_url=self.facts.source,
        )

    def roots(self) -> list[str]:
        """Modules from which all others of the package are reached by their loads: who checks these checks all."""
        loads = {path: _own_loads(path, data) for path, data in self.files.items() if path.endswith(".flow")}
        loaded = set().union(*loads.values())
        roots: list[str] = []
        reached: set[str] = set()
        for path in sorted(loads, key=lambda path: (path in loaded, path)):
            if path not in reached:
                roots.append(path)
                waiting = {path}
                while waiting:
                    reached |= waiting
                    waiting = set().union(*(loads.get(each, set()) for each in waiting)) - reached
        return roots


def prepare(folder: Path, apart: Collection[Path] = ()) -> Prepared:
    """The release that a folder holds; ``apart`` are folders in it that do not belong to the package.

    Raises:
        UsageError: it is no package, or none that can be published; names file and line.
    """
    manifest, facts = read_package(folder)
    files = gather_files(folder, apart)
    try:
        exports = exported_files(facts, files)
        if facts.dialect != DIALECT:
            raise UsageError(
                f"[package] dialect is {facts.dialect}, and this Flowmetal knows {DIALECT} only",
                remedy="upgrade Flowmetal" if facts.dialect > DIALECT else "",
            )
    except UsageError as error:
        raise at(str(folder / MANIFEST), error) from None
    for path, data in files.items():
        if path.endswith(".flow"):
            _check_source(data, str(folder / path))
    return Prepared(facts, manifest, files, listing_of(files).digest, exports, pack_archive(files))


def read_package(folder: Path) -> tuple[Manifest, PackageFacts]:
    """The manifest of a folder that is a package.

    Raises:
        UsageError: it has none, or none that names a package.
    """
    place = str(folder / MANIFEST)
    try:
        manifest = read_manifest(read_limited(folder / MANIFEST, MAX_MANIFEST_BYTES).decode("utf-8"), place)
    except UnicodeDecodeError as error:
        raise UsageError(f"byte {error.start:,} is not UTF-8", place=place) from None
    except FileNotFoundError:
        raise UsageError(
            f"there is no {MANIFEST} in {folder}", remedy="name the folder of a package; `flowmetal new NAME` makes one"
        ) from None
    except OSError as error:
        raise UsageError(f"it cannot be read: {error.strerror}", place=place) from None
    if manifest.package is None:
        raise UsageError(
            "there is no table [package], so this is a project and no package",
            place=place,
            remedy='write [package], with name = "HOST/PATH" and version = "1.0.0"',
        )
    return manifest, manifest.package


def _check_source(data: bytes, place: str) -> None:
    text = decode_source(data, place)
    if b"\r" in data:
        line = data.count(b"\n", 0, data.index(b"\r")) + 1
        raise UsageError(
            "a line ends in a carriage return",
            place=f"{place}:{line}",
            remedy="save it with lines that end in \\n: else one package would have two digests",
        )
    for line, written in load_strings(text):
        if written.startswith(_INSIDE):
            continue
        try:
            label = parse_label(written)
        except UsageError as error:
            raise at(f"{place}:{line}", error) from None
        if label.version or label.digest:
            raise UsageError(
                f'load("{written}") has a version in it, which only a script without a manifest may have',
                place=f"{place}:{line}",
                remedy=f'write load("{replace(label, version="", digest="")}", …), and "{label.package}" = '
                f'"{label.version or "…"}" in [requires]',
            )


def _own_loads(path: str, data: bytes) -> set[str]:
    """The paths of what a module loads of its own package."""
    found = {path_of_load(path, written) for _, written in load_strings(data.decode("utf-8", "replace"))}
    return found - {""}


def path_of_load(path: str, written: str) -> str:
    """The path of what the module at ``path`` loads, if it is of its own package; else ""."""
    if written.startswith("//"):
        return posixpath.normpath(written[2:])
    if written.startswith(_INSIDE):
        return posixpath.normpath(posixpath.join(posixpath.dirname(path), written))
    return ""
