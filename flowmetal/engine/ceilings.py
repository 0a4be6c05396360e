"""What packages may need by their own word, as it counts on this machine for one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from flowmetal.errors import UsageError
from flowmetal.package_graph import Graph
from flowmetal.permissions.grants import Grant, GrantSet, parse_grants


def under_ceilings(grants: GrantSet, graph: Graph | None, base_dir: str) -> GrantSet:
    """The grants of a run under the ceilings of the packages that it loads, and of no others.

    Relative paths of a ceiling count from ``base_dir``.  What does not mean anything here, such as a program that is
    not installed, is left out: nobody could be granted it.
    """
    members = graph.members.values() if graph is not None else ()
    ceilings = tuple(
        (member.package, GrantSet(tuple(each for text in member.permissions for each in _grants(text, base_dir))))
        for member in members
    )
    return replace(grants, ceilings=ceilings)


def with_later_packages(grants: GrantSet, packages: Iterable[str]) -> GrantSet:
    """The grants of a run whose code has ``packages``: one that came later, with other code, may need nothing."""
    said = dict(grants.ceilings)
    later = tuple((package, GrantSet()) for package in packages if package not in said)
    return replace(grants, ceilings=(*grants.ceilings, *later)) if later else grants


def _grants(text: str, base_dir: str) -> tuple[Grant, ...]:
    try:
        return parse_grants([text], [], base_dir).allow
    except UsageError:
        return ()
