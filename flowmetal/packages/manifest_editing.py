"""Changing the requirements in a ``flowmetal.toml`` that a person wrote: all else stays as it is, comments too."""

from __future__ import annotations

from collections.abc import Mapping

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from flowmetal.errors import UsageError
from flowmetal.packages.versions import Version


def with_requirements(text: str, changes: Mapping[str, Version | None], place: str) -> str:
    """The text with other least versions; None takes a package out.  ``place`` is what errors call it.

    Raises:
        UsageError: it is not TOML, or its ``requires`` is no table.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise UsageError(f"it is not TOML: {error}", place=place) from None
    requires = document.get("requires")
    if requires is None:
        requires = tomlkit.table()
        document["requires"] = requires
    if not isinstance(requires, Table):
        raise UsageError("`requires` is not a table", place=place, remedy="write [requires] on a line of its own")
    # What stands behind the last requirement, such as a comment, is about what follows the table.
    body, behind = requires.value.body, []
    while body and body[-1][0] is None:
        behind.append(body.pop())
    for package, least in sorted(changes.items()):
        if least is None:
            requires.pop(package, None)
        else:
            requires[package] = str(least)
    body.extend(reversed(behind))
    return tomlkit.dumps(document)
