"""``flowmetal.lock``: which bytes every package of a project is, and what was accepted of it.

A block for each package, sorted by id, of ids and digests only: who adds a package adds lines, and two who
add different ones merge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flowmetal.errors import UsageError
from flowmetal.package_ids import check_package_id
from flowmetal.packages.bounds import MAX_GRAPH_PACKAGES, MAX_LOCK_BYTES
from flowmetal.packages.ceilings import check_permissions
from flowmetal.packages.checks import check_line, check_tree
from flowmetal.packages.fields import Fields, at
from flowmetal.packages.toml_text import read_toml, toml_string
from flowmetal.packages.versions import Version

LOCK_FILE: Final = "flowmetal.lock"
_KEYS: Final = ("id", "version", "tree", "permissions")


@dataclass(frozen=True, slots=True)
class Locked:
    """One package: its tree is ``sha256:HEX``, its permissions are the canonical texts that were accepted."""

    id: str
    version: Version
    tree: str
    permissions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """All packages of a project, sorted by id.

    Raises:
        UsageError: one is there twice.
    """

    packages: tuple[Locked, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "packages", tuple(sorted(self.packages, key=lambda each: each.id)))
        for one, other in zip(self.packages, self.packages[1:], strict=False):
            if one.id == other.id:
                raise UsageError(f"{one.id} is locked twice", remedy="keep one of its blocks")

    def find(self, package: str) -> Locked | None:
        """What is locked of a package."""
        return next((each for each in self.packages if each.id == package), None)


def read_lock(text: str, place: str) -> Lock:
    """The lock whose text this is; ``place`` is what errors call it.

    Raises:
        UsageError: it is none; says where.
    """
    try:
        if len(text) > MAX_LOCK_BYTES:
            raise UsageError(f"it has more than {MAX_LOCK_BYTES:,} characters")
        if "\n<<<<<<< " in f"\n{text}":
            raise UsageError(
                "it has the marks of a merge that was not finished",
                remedy="keep the blocks of both sides, sorted by id",
            )
        return _lock(read_toml(text))
    except UsageError as error:
        raise at(place, error) from None


def lock_text(lock: Lock) -> str:
    """The text of a lock."""
    blocks = ["# Written by flowmetal, to be committed: which bytes each package is.\n"]
    for each in lock.packages:
        permissions = "[" + ", ".join(toml_string(text) for text in each.permissions) + "]"
        blocks.append(
            "[[package]]\n"
            f"id = {toml_string(each.id)}\n"
            f"version = {toml_string(str(each.version))}\n"
            f"tree = {toml_string(each.tree)}\n"
            f"permissions = {permissions}\n"
        )
    return "\n".join(blocks)


def _lock(data: dict[str, Any]) -> Lock:
    top = Fields(data, "the lock", ("package",))
    blocks = data.get("package", []) if "package" in top else []
    if not isinstance(blocks, list):
        raise UsageError("the lock's package is not a list of blocks", remedy="each begins with [[package]]")
    if len(blocks) > MAX_GRAPH_PACKAGES:
        raise UsageError(f"it has {len(blocks)} packages; the limit is {MAX_GRAPH_PACKAGES}")
    return Lock(tuple(_locked(block) for block in blocks))


def _locked(block: Any) -> Locked:
    fields = Fields(block, "[[package]]", _KEYS)
    package, version = check_package_id(fields.text("id")), Version.parse(fields.text("version"))
    check_line(package, version)
    permissions = check_permissions(fields.texts("permissions", []))
    return Locked(package, version, check_tree(fields.text("tree")), permissions)
