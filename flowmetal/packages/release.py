"""A version whose files are here, as the manifest among them describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowmetal import __version__
from flowmetal.errors import PackageError, UsageError
from flowmetal.language.dialect import DIALECT
from flowmetal.packages.document import VersionDocument
from flowmetal.packages.listing import listing_of
from flowmetal.packages.manifest import Manifest, PackageFacts, exported_files, read_manifest
from flowmetal.packages.versions import Version

MANIFEST: Final = "flowmetal.toml"


@dataclass(frozen=True, slots=True)
class Release:
    """A version whose files are here; ``exports`` are the paths that others may load."""

    facts: PackageFacts
    manifest: Manifest
    tree: str
    requires: Mapping[str, Version]
    permissions: tuple[str, ...]
    exports: tuple[str, ...]
    files: Mapping[str, bytes]


def release_of(files: Mapping[str, bytes], package: str = "") -> Release:
    """The release that the files of a package are, of any if none is named.

    Raises:
        PackageError: their manifest is none, or another package's.
    """
    try:
        manifest = _manifest_of(files, package)
        facts = manifest.package
        if facts is None or package not in ("", facts.name):
            raise UsageError(f"its manifest is of {facts.name if facts else 'no package'}")
        exports = exported_files(facts, files)
        if facts.dialect > DIALECT:
            raise UsageError(f"{facts.version} is of the dialect {facts.dialect}", remedy="upgrade Flowmetal")
        if facts.min_flowmetal and Version.parse(facts.min_flowmetal) > Version.parse(__version__):
            raise UsageError(f"{facts.version} needs Flowmetal {facts.min_flowmetal}", remedy="upgrade Flowmetal")
    except UsageError as error:
        raise PackageError(f"{package}: {error.message}", remedy=error.remedy) from None
    tree = listing_of(files).digest
    return Release(facts, manifest, tree, manifest.requires, manifest.permissions, exports, files)


def _manifest_of(files: Mapping[str, bytes], package: str) -> Manifest:
    if MANIFEST not in files:
        raise UsageError(f"it has no {MANIFEST}")
    try:
        text = files[MANIFEST].decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"its {MANIFEST} is not UTF-8") from None
    return read_manifest(text, f"{package}//{MANIFEST}")


def check_against(release: Release, document: VersionDocument) -> None:
    """Raises ``PackageError`` unless a document says of its package what the manifest in it says."""
    for name, inside, outside in (
        ("version", release.facts.version, document.version),
        ("entry", release.facts.entry, document.entry),
        ("exports", release.exports, document.exports),
        ("requires", dict(release.requires), dict(document.requires)),
        ("permissions", release.permissions, document.permissions),
    ):
        if inside != outside:
            raise PackageError(
                f"{document.package} {document.version}: its document says another `{name}` than its manifest"
            )
