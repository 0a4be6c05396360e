"""What manifests, documents and locks have in common: digests, and versions by the ids of packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from flowmetal.errors import UsageError
from flowmetal.package_ids import TREE_DIGEST, check_package_id, line_of
from flowmetal.packages.bounds import MAX_GRAPH_PACKAGES
from flowmetal.packages.versions import Version

_HEX: Final = re.compile(r"[0-9a-f]{64}")


def check_line(package: str, version: Version) -> None:
    """Raise unless a version belongs to its package's line of the API.

    Raises:
        UsageError: another major version than the id says.
    """
    line = line_of(package)
    if line is None and version.major > 1:
        raise UsageError(
            f"{package} has no /vN/ in its name, so its versions begin with 0 or 1, and not {version}",
            remedy=f"publish it under another name, with /v{version.major}/ in it",
        )
    if line is not None and version.major != line:
        raise UsageError(
            f"{package} is the line v{line}, and {version} does not belong to it",
            remedy=f"a change that breaks callers is another package: put /v{version.major}/ in its name",
        )


def read_requires(table: Mapping[str, Any], package: str = "") -> dict[str, Version]:
    """The least versions by the ids of packages, which ``package`` requires, or a project.

    Raises:
        UsageError: a key that is no id, a value that is no version or not one of its line, too many; a package of this
            machine, which one of elsewhere requires.
    """
    if len(table) > MAX_GRAPH_PACKAGES:
        raise UsageError(f"there are {len(table)} packages in requires; the limit is {MAX_GRAPH_PACKAGES}")
    found = {}
    for name, least in sorted(table.items()):
        check_package_id(name)
        if package and _is_local(name) and not _is_local(package):
            # Who fetches a package must not be made to call what listens on their own machine.
            raise UsageError(
                f"{package} requires {name}, which is on another machine for everybody else",
                remedy="to try it out, give it the name that it will have, and the project a [[registry]] for that",
            )
        if not isinstance(least, str):
            raise UsageError(f"the version of {name} is not a string", remedy=f'write "{name}" = "1.0.0"')
        found[name] = Version.parse(least)
        check_line(name, found[name])
    return found


def _is_local(package: str) -> bool:
    return re.match("localhost[:/]", package) is not None


def check_tree(text: str) -> str:
    """``text``, which is a tree's digest.

    Raises:
        UsageError: it is none.
    """
    if not TREE_DIGEST.fullmatch(text):
        raise UsageError("tree is not sha256: and 64 hexadecimal digits in lower case")
    return text


def check_hex(text: str, name: str) -> str:
    """``text``, which is a SHA-256 in hexadecimal digits; ``name`` is what errors call it.

    Raises:
        UsageError: it is none.
    """
    if not _HEX.fullmatch(text):
        raise UsageError(f"{name} is not 64 hexadecimal digits in lower case")
    return text
