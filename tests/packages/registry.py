"""Registries as they lie on a disk, people who load from them, and servers that carry them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowmetal.language.labels import PACKAGES
from flowmetal.package_graph import Graph, Request
from flowmetal.packages.archive import facts_of, pack_archive
from flowmetal.packages.document import Index, Listed, VersionDocument, parse_index
from flowmetal.packages.files import read_lock_file
from flowmetal.packages.late import Conduct, PackagesOnDemand, Places
from flowmetal.packages.layout import INDEX, archive_path, base_path, document_path
from flowmetal.packages.lock import Lock
from flowmetal.packages.release import release_of
from flowmetal.packages.versions import Version

PUBLISHED = "2026-01-01T00:00:00Z"
HOST = "pkg.example.org"
DEPLOY = f"{HOST}/v1/deploy"
NOTIFY = f"{HOST}/v1/notify"


def manifest(
    package: str, version: str, requires: Mapping[str, str] | None = None, more: str = "", tables: str = ""
) -> bytes:
    """The manifest of a package; ``more`` are lines of [package], ``tables`` what follows."""
    lines = [f'[package]\nname = "{package}"\nversion = "{version}"\n{more}\n[requires]']
    lines += [f'"{name}" = "{least}"' for name, least in (requires or {}).items()]
    return "\n".join([*lines, tables, ""]).encode()


def files_of(
    package: str, version: str, requires: Mapping[str, str] | None = None, tables: str = "", **modules: str
) -> dict[str, bytes]:
    """The files of a package whose ``lib.flow`` says which version it is, unless ``modules`` have another."""
    texts = {"lib": f'version = "{version}"\n', **modules}
    return {
        "flowmetal.toml": manifest(package, version, requires, tables=tables),
        **{f"{name}.flow": text.encode() for name, text in texts.items()},
    }


def publish(root: Path, files: Mapping[str, bytes], package: str) -> VersionDocument:
    """Writes a version of a package into a directory of many, as any web server could have it."""
    release = release_of(files, package)
    archive = pack_archive(files)
    document = VersionDocument(
        package=package,
        version=release.facts.version,
        tree=release.tree,
        archive=facts_of(archive, files),
        entry=release.facts.entry,
        exports=release.exports,
        requires=release.requires,
        permissions=release.permissions,
        published=PUBLISHED,
    )
    base = root / base_path(package)
    write(base / archive_path(document.archive.sha256), archive)
    list_document(root, document)
    return document


def list_document(root: Path, document: VersionDocument, *, yanked: bool = False) -> None:
    """Puts a document where it belongs, and into the index."""
    base = root / base_path(document.package)
    write(base / document_path(document.version), document.data)
    path = base / INDEX
    index = parse_index(path.read_bytes(), "index") if path.exists() else Index(document.package)
    listed = Listed(document.sha256, document.published, yanked)
    write(path, index.with_version(document.version, listed).data)


def put(root: Path, package: str, version: str, requires: Mapping[str, str] | None = None, **more: str) -> str:
    """Publishes a version made of almost nothing; its tree's digest."""
    return publish(root, files_of(package, version, requires, **more), package).tree


def write(path: Path, data: bytes) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@dataclass
class Person:
    """Somebody with a project, a cache and a memory of their own."""

    folder: Path
    conduct: Conduct = field(default_factory=Conduct)
    notices: list[str] = field(default_factory=list)

    @property
    def project(self) -> Path:
        """Where their project is."""
        return self.folder / "project"

    @property
    def places(self) -> Places:
        """Where their things are."""
        return Places(self.folder / "cache", self.folder / "first-use", self.folder / "registries.toml")

    def requires(self, requires: Mapping[str, str], registry: str = "", tables: str = "", prefix: str = HOST) -> None:
        """Writes the manifest of their project; ``registry`` is the URL of the one for ``prefix``."""
        lines = ["[requires]", *(f'"{name}" = "{least}"' for name, least in requires.items()), tables]
        if registry:
            lines += ["[[registry]]", f'prefix = "{prefix}"', f'url = "{registry}"']
        write(self.project / "flowmetal.toml", "\n".join([*lines, ""]).encode())

    def demand(self, conduct: Conduct | None = None, file: str = "main.flow") -> PackagesOnDemand:
        """What resolves their packages."""
        self.project.mkdir(parents=True, exist_ok=True)
        return PackagesOnDemand(self.project / file, self.project, self.places, conduct or self.conduct, PACKAGES)

    def load(self, *packages: str, conduct: Conduct | None = None, file: str = "main.flow") -> Graph:
        """The graph when their program loads packages, each as ``id`` or ``id@requirement``."""
        demand = self.demand(conduct, file)
        requests = [Request(*each.partition("@")[::2]) for each in packages or (DEPLOY,)]
        try:
            return asyncio.run(demand.resolve(requests))
        finally:
            self.notices += demand.notices

    @property
    def lock(self) -> Lock:
        """The lock of their project."""
        return read_lock_file(self.project / "flowmetal.lock")


def versions(graph: Graph) -> dict[str, str]:
    """The version of each package of a graph, without the host."""
    return {name.removeprefix(f"{HOST}/"): member.version for name, member in graph.members.items()}


def version(text: str) -> Version:
    """A version."""
    return Version.parse(text)


def names(packages: Sequence[str]) -> dict[str, str]:
    """Packages of a short name and a least version, such as ``a 1.0.0``, as requirements."""
    return {f"{HOST}/{each.split()[0]}": each.split()[1] for each in packages}
