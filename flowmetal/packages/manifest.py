"""``flowmetal.toml``: what a package is, what it needs, and where a project's packages come from.

    [package]
    name = "pkg.example.org/v1/deploy"
    version = "1.4.2"
    exports = ["lib.flow", "k8s/*.flow"]
    [requires]
    "pkg.example.org/v1/notify" = "1.2.0"
    [permissions]
    net = ["api.example.org:443"]
    [replace]
    "pkg.example.org/v1/notify" = { path = "../notify" }
    [[registry]]
    prefix = "corp.example/"
    url = "https://packages.corp.example/"

A project that is no package has none of the first.  ``[grants]`` and ``[limits]`` are not read here: they count only
where somebody trusted the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.package_ids import check_package_id, check_path
from flowmetal.packages.bounds import MAX_GRAPH_PACKAGES, MAX_MANIFEST_BYTES
from flowmetal.packages.ceilings import read_permissions
from flowmetal.packages.checks import check_line, read_requires
from flowmetal.packages.fields import Fields, at
from flowmetal.packages.toml_text import read_toml
from flowmetal.packages.versions import Version
from flowmetal.permissions.texts import plain

ENTRY: Final = "lib.flow"
TABLES: Final = ("package", "requires", "permissions", "replace", "registry", "grants", "limits")
_FACTS: Final = (
    "name",
    "version",
    "entry",
    "exports",
    "dialect",
    "min_flowmetal",
    "license",
    "description",
    "source",
)
_MAX_EXPORTS: Final = 200
_MAX_TEXT: Final = 500
_HTTP_LOCAL: Final = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(/.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """The table ``[package]``; ``exports`` are patterns of paths, in which ``*`` stands for any part of a name."""

    name: str
    version: Version
    entry: str = ENTRY
    exports: tuple[str, ...] = (ENTRY,)
    dialect: int = 1
    min_flowmetal: str = ""
    license: str = ""
    description: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is taken instead of a package: a directory against the manifest's own, or another package; one is ""."""

    path: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """Where the packages are whose ids begin with ``prefix``: whole segments, "" for all."""

    prefix: str
    url: str

    def holds(self, package: str) -> bool:
        """Whether this is the registry of a package, were there no longer prefix."""
        return not self.prefix or package == self.prefix or package.startswith(f"{self.prefix}/")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A ``flowmetal.toml``, but for what counts only when it is trusted."""

    package: PackageFacts | None = None
    requires: Mapping[str, Version] = field(default_factory=dict)
    permissions: tuple[str, ...] = ()
    replace: Mapping[str, Replacement] = field(default_factory=dict)
    registries: tuple[Registry, ...] = ()


def read_manifest(text: str, place: str) -> Manifest:
    """The manifest whose text this is; ``place`` is what errors call it.

    Raises:
        UsageError: it is none: not TOML, a name that is not known, a value that is none.
    """
    try:
        if len(text) > MAX_MANIFEST_BYTES:
            raise UsageError(f"it has more than {MAX_MANIFEST_BYTES:,} characters")
        return _manifest(read_toml(text))
    except UsageError as error:
        raise at(place, error) from None


def exported_files(facts: PackageFacts, paths: Iterable[str]) -> tuple[str, ...]:
    """Which of a package's files may be loaded from outside, sorted.

    Raises:
        UsageError: the entry or an export is not there.
    """
    there = sorted(paths)
    flows = [path for path in there if path.endswith(".flow")]
    if facts.entry not in there:
        raise UsageError(
            f"the entry `{facts.entry}` is not there{did_you_mean(facts.entry, flows)}",
            remedy="[package] entry names the module that is meant by the package's name",
        )
    found = {facts.entry}
    for pattern in facts.exports:
        matching = [path for path in flows if exports(pattern, path)]
        if not matching:
            raise UsageError(f"no file is `{pattern}`, which [package] exports{did_you_mean(pattern, flows)}")
        found.update(matching)
    return tuple(sorted(found))


def exports(pattern: str, path: str) -> bool:
    """Whether a pattern of exports means a path; ``*`` stands for any part of a name, and never for a slash."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]*"), path) is not None


def _manifest(data: dict[str, Any]) -> Manifest:
    top = Fields(data, "the file", TABLES)
    package = _facts(data["package"]) if "package" in data else None
    requires = read_requires(top.table("requires"), package.name if package is not None else "")
    if package is not None and package.name in requires:
        raise UsageError("[requires] names the package itself")
    replaced = {check_package_id(name): _replacement(name, value) for name, value in top.table("replace").items()}
    rows = data.get("registry", [])
    if not isinstance(rows, list):
        raise UsageError("`registry` is not a list", remedy="write [[registry]], with two brackets")
    if max(len(rows), len(replaced)) > MAX_GRAPH_PACKAGES:
        raise UsageError(f"it has more than {MAX_GRAPH_PACKAGES} registries or replacements")
    return Manifest(
        package,
        requires,
        read_permissions(top.table("permissions")),
        replaced,
        tuple(_registry(row) for row in rows),
    )


def _facts(data: Any) -> PackageFacts:
    fields = Fields(data, "[package]", _FACTS)
    name, version = check_package_id(fields.text("name")), Version.parse(fields.text("version"))
    check_line(name, version)
    entry = _check_flow(fields.text("entry", ENTRY), "entry")
    patterns = fields.texts("exports", [entry])
    if len(patterns) > _MAX_EXPORTS:
        raise UsageError(f"[package] exports has {len(patterns)} patterns; the limit is {_MAX_EXPORTS}")
    for pattern in patterns:
        _check_flow(pattern, "exports")
    min_flowmetal = fields.text("min_flowmetal", "")
    if min_flowmetal:
        Version.parse(min_flowmetal)
    texts = {key: fields.text(key, "") for key in ("license", "description", "source")}
    for key, text in texts.items():
        if len(text) > _MAX_TEXT:
            raise UsageError(f"[package] {key} has more than {_MAX_TEXT} characters")
    return PackageFacts(
        name=name,
        version=version,
        entry=entry,
        exports=tuple(patterns),
        dialect=fields.number("dialect", 1),
        min_flowmetal=min_flowmetal,
        **texts,
    )


def _check_flow(path: str, key: str) -> str:
    check_path(path.replace("*", "x"))
    if not path.endswith(".flow") or (key == "entry" and "*" in path):
        raise UsageError(f"[package] {key}: `{plain(path)}` is not the path of a .flow file")
    return path


def _replacement(name: str, data: Any) -> Replacement:
    if isinstance(data, str):
        raise UsageError(
            f'[replace] "{plain(name)}" is not a table',
            remedy=f'write "{plain(name)}" = {{ path = "{plain(data)}" }}, or {{ package = "…" }}',
        )
    fields = Fields(data, f'[replace] "{plain(name)}"', ("path", "package"))
    path, package = fields.text("path", ""), fields.text("package", "")
    if bool(path) == bool(package):
        raise UsageError(
            f'[replace] "{plain(name)}" says not what is taken instead',
            remedy=f'write "{plain(name)}" = {{ path = "../folder" }}, or {{ package = "pkg.example.org/v1/name" }}',
        )
    return Replacement(path, check_package_id(package) if package else "")


def _registry(data: Any) -> Registry:
    fields = Fields(data, "[[registry]]", ("prefix", "url"))
    return make_registry(fields.text("prefix"), fields.text("url"))


def make_registry(prefix: str, url: str) -> Registry:
    """A registry as a file or the operator names it.

    Raises:
        UsageError: the prefix is no beginning of an id, or the URL is not one that packages come from.
    """
    trimmed = prefix.removesuffix("/")
    if trimmed:
        host = trimmed.partition("/")[0]
        check_package_id(trimmed if "/" in trimmed else f"{trimmed}/x", hosts=(host,))
    authority = url.partition("://")[2].partition("/")[0]
    if "@" in authority or not {"?", "#"}.isdisjoint(url if authority else ""):
        raise UsageError(
            f"the URL of the registry for `{plain(prefix)}` has a user, a query or a fragment",
            remedy="it is a host and a path, below which files lie; what is secret has no place in this file",
        )
    if not (url.startswith(("https://", "file:")) or _HTTP_LOCAL.fullmatch(url)):
        raise UsageError(
            f"`{plain(url)}` is no address of a registry",
            remedy="it is https://…, file:FOLDER, or http:// on this machine only",
        )
    return Registry(trimmed, url)
