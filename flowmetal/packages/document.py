"""What a registry says of a package: one document for each version, for ever, and an index that changes.

The document binds the version to a tree, its archive and all that is decided before anything is unpacked: what it
requires, and what its code may need.  Its bytes are canonical, so its digest is the digest of what it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from flowmetal.errors import UsageError
from flowmetal.package_ids import check_package_id, check_path
from flowmetal.packages.archive import ArchiveFacts
from flowmetal.packages.bounds import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES
from flowmetal.packages.ceilings import check_permissions
from flowmetal.packages.checks import check_hex, check_line, check_tree, read_requires
from flowmetal.packages.fields import Fields, at, canonical_json, check_time, read_json
from flowmetal.packages.versions import Version

SCHEMA: Final = 1

_DOCUMENT_KEYS: Final = (
    "schema",
    "package",
    "version",
    "tree",
    "archive",
    "entry",
    "exports",
    "requires",
    "dialect",
    "min_flowmetal",
    "permissions",
    "published",
    "license",
    "description",
    "source",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDocument:
    """One version of a package.

    ``tree`` is ``sha256:HEX``; ``exports`` are paths of files, sorted; ``requires`` are the least versions by id;
    ``permissions`` canonical texts; ``published`` a time such as ``2026-01-31T23:59:59Z``.  Of ``source_url``,
    ``source_commit``, ``license`` and ``description`` each may be "".
    """

    package: str
    version: Version
    tree: str
    archive: ArchiveFacts
    entry: str
    exports: tuple[str, ...]
    requires: Mapping[str, Version] = field(default_factory=dict)
    dialect: int = 1
    min_flowmetal: str = ""
    permissions: tuple[str, ...] = ()
    published: str
    license: str = ""
    description: str = ""
    source_url: str = ""
    source_commit: str = ""

    @property
    def data(self) -> bytes:
        """Its canonical JSON."""
        return canonical_json(
            {
                "schema": SCHEMA,
                "package": self.package,
                "version": str(self.version),
                "tree": self.tree,
                "archive": {
                    "sha256": self.archive.sha256,
                    "size": self.archive.size,
                    "unpacked": self.archive.unpacked,
                    "files": self.archive.files,
                },
                "entry": self.entry,
                "exports": list(self.exports),
                "requires": {package: str(least) for package, least in self.requires.items()},
                "dialect": self.dialect,
                "min_flowmetal": self.min_flowmetal,
                "permissions": list(self.permissions),
                "published": self.published,
                "license": self.license,
                "description": self.description,
                "source": {"url": self.source_url, "commit": self.source_commit},
            }
        )

    @property
    def sha256(self) -> str:
        """SHA-256 of its bytes, in hexadecimal digits: what the index has of it."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in an index: the SHA-256 of its document in hexadecimal digits, when it came, and yanked or not."""

    doc: str
    published: str
    yanked: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """All versions of a package that a registry has."""

    package: str
    versions: Mapping[Version, Listed] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        """Its JSON, a line for each field, so that a registry kept in git merges; versions in their order."""
        rows: dict[str, dict[str, Any]] = {}
        for version in sorted(self.versions):
            listed = self.versions[version]
            rows[str(version)] = {"doc": listed.doc, "published": listed.published}
            if listed.yanked:
                rows[str(version)]["yanked"] = True
        data = {"schema": SCHEMA, "package": self.package, "versions": rows}
        return (json.dumps(data, ensure_ascii=True, indent=1) + "\n").encode("ascii")

    def with_version(self, version: Version, listed: Listed) -> Index:
        """The index with one version more, or another entry for it."""
        return replace(self, versions={**self.versions, version: listed})


def parse_document(data: bytes, place: str) -> VersionDocument:
    """The document whose bytes these are; ``place`` is what errors call it.

    Raises:
        UsageError: they are not, or not in their canonical form.
    """
    try:
        document = _document(read_json(data, MAX_DOCUMENT_BYTES))
        if document.data != data:
            raise UsageError("the document is not in its canonical form")
    except UsageError as error:
        raise at(place, error) from None
    return document


def parse_index(data: bytes, place: str) -> Index:
    """The index whose bytes these are; ``place`` is what errors call it.

    Raises:
        UsageError: they are not.
    """
    try:
        return _index(read_json(data, MAX_INDEX_BYTES))
    except UsageError as error:
        raise at(place, error) from None


def _document(data: Any) -> VersionDocument:
    top = Fields(data, "the document", _DOCUMENT_KEYS)
    _check_schema(top)
    archive = Fields(top.table("archive"), "archive", ("sha256", "size", "unpacked", "files"))
    source = Fields(top.table("source"), "source", ("url", "commit"))
    package, version = check_package_id(top.text("package")), Version.parse(top.text("version"))
    check_line(package, version)
    exports = top.texts("exports")
    if exports != sorted(set(exports)):
        raise UsageError("exports are not sorted, each once")
    return VersionDocument(
        package=package,
        version=version,
        tree=check_tree(top.text("tree")),
        archive=ArchiveFacts(
            check_hex(archive.text("sha256"), "archive sha256"),
            archive.number("size"),
            archive.number("unpacked"),
            archive.number("files"),
        ),
        entry=check_path(top.text("entry")),
        exports=tuple(check_path(path) for path in exports),
        requires=read_requires(top.table("requires"), package),
        dialect=top.number("dialect"),
        min_flowmetal=top.text("min_flowmetal"),
        permissions=check_permissions(top.texts("permissions")),
        published=check_time(top.text("published"), "published"),
        license=top.text("license"),
        description=top.text("description"),
        source_url=source.text("url"),
        source_commit=source.text("commit"),
    )


def _index(data: Any) -> Index:
    top = Fields(data, "the index", ("schema", "package", "versions"))
    _check_schema(top)
    package = check_package_id(top.text("package"))
    versions = {}
    for text, row in top.table("versions").items():
        version = Version.parse(text)
        check_line(package, version)
        fields = Fields(row, f"version {text}", ("doc", "published", "yanked"))
        published = check_time(fields.text("published"), f"version {text} published")
        versions[version] = Listed(check_hex(fields.text("doc"), "doc"), published, fields.flag("yanked"))
    return Index(package, versions)


def _check_schema(fields: Fields) -> None:
    schema = fields.number("schema")
    if schema != SCHEMA:
        raise UsageError(f"it has the schema {schema}, which a newer Flowmetal writes", remedy="upgrade Flowmetal")
