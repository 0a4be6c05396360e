"""The table ``[grants]`` of a ``flowmetal.toml``, as a set of grants.

    [grants]
    allow = ["net=api.github.com:443/GET"]   # as after --allow
    deny = ["net=*.internal"]
    read = ["./config"]                      # or by class
    [grants."pkg.example.org/v1/deploy"]     # what that package may do, of what the run may
    net = ["api.github.com"]

Nothing is guessed: a key that is not known is an error, for a grant that was written and is not there is found out
too late, and a denial that is not there never.
"""

from __future__ import annotations

import os.path
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.permissions.grants import Grant, GrantSet, parse_grant
from flowmetal.permissions.packages import check_package
from flowmetal.permissions.texts import plain
from flowmetal.permissions.vocabulary import EXAMPLES, World

_LISTS: Final = ("allow", "deny")


def table_grants(
    table: Any,
    base_dir: str,
    place: str,
    canonical: Callable[[str], str] = os.path.realpath,
    which: Callable[[str], str | None] = shutil.which,
) -> GrantSet:
    """The grants of a parsed table ``[grants]``.

    Args:
        table: what the TOML parser made of it.
        base_dir: what relative paths are against: the folder of the file.
        place: what errors call the file.
        canonical: resolves the links of an absolute path.
        which: finds a program, as ``parse_grants`` has it.

    Raises:
        UsageError: a key that is not known, a value of another kind, a text that is no grant.
    """
    try:
        return _grants(table, World(base_dir, canonical, which))
    except UsageError as error:
        raise UsageError(error.message, place=place, remedy=error.remedy) from None


def _grants(table: Any, world: World) -> GrantSet:
    if not isinstance(table, dict):
        raise UsageError("`grants` is not a table", remedy="write [grants] on a line of its own")
    packages = {key: value for key, value in table.items() if _is_label(key)}
    root = _flat({key: value for key, value in table.items() if key not in packages}, "[grants]", world)
    entries = []
    for label, value in packages.items():
        shown = f'[grants."{plain(label)}"]'
        if not isinstance(value, dict):
            raise UsageError(f"{shown} is not a table")
        entries.append((check_package(label), _flat(value, shown, world)))
    return GrantSet(root.allow, root.deny, tuple(entries))


def _flat(table: Mapping[str, Any], shown: str, world: World) -> GrantSet:
    known = (*_LISTS, *EXAMPLES)
    allow: list[Grant] = []
    deny: list[Grant] = []
    for key, value in table.items():
        if key not in known:
            raise UsageError(
                f"{shown} has no key `{plain(key)}`{did_you_mean(key, known)}",
                remedy=f"there are {', '.join(known)}, and tables of packages",
            )
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise UsageError(f"{shown} {key} is not a list of strings", remedy=f'write {key} = ["…", "…"]')
        for text in value:
            grant = parse_grant(
                f"{shown} {key}", text if key in _LISTS else f"{key}={text}", world, denying=key == "deny"
            )
            (deny if key == "deny" else allow).append(grant)
    return GrantSet(tuple(allow), tuple(deny))


def _is_label(key: str) -> bool:
    return "/" in key
