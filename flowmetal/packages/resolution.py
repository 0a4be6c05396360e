"""Which version of each package: the greatest of the least that anybody asks for, and nothing newer.

There is nothing to solve: a requirement names the least version of a package, and every version of one id is of one
line.  So the answer follows from the manifests alone, and is the same tomorrow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from flowmetal.errors import NotCachedError, PackageError
from flowmetal.packages.bounds import MAX_GRAPH_PACKAGES
from flowmetal.packages.versions import Version

_MOST_VERSIONS: Final = 2_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Described:
    """What a version requires; ``version`` is a later one where the one asked for may not be chosen any more."""

    version: Version
    requires: Mapping[str, Version]


Describe = Callable[[str, Version], Awaitable[Described]]


async def select(roots: Mapping[str, Version], describe: Describe) -> dict[str, Version]:
    """The version of each package that ``roots``, least versions by id, lead to.

    Every version that anything asks for is looked at, so that the order in which answers come changes nothing.

    Raises:
        PackageError: too many packages; as ``describe``, for the first in order.
    """
    chosen: dict[str, Version] = {}
    seen: set[tuple[str, Version]] = set()
    wave = sorted(roots.items())
    while wave:
        seen.update(wave)
        if len({package for package, _ in seen}) > MAX_GRAPH_PACKAGES or len(seen) > _MOST_VERSIONS:
            raise PackageError(f"the program needs more than {MAX_GRAPH_PACKAGES} packages")
        found = await all_of(describe(package, version) for package, version in wave)
        asked: set[tuple[str, Version]] = set()
        for (package, _), described in zip(wave, found, strict=True):
            chosen[package] = max(chosen.get(package, described.version), described.version)
            asked.update(described.requires.items())
        wave = sorted(asked - seen)
    return chosen


async def all_of(waiting: Iterable[Awaitable[T]]) -> list[T]:
    """All results, in order.

    Raises:
        NotCachedError: what is missing of all of them, in one.
        FlowmetalError: the first that went wrong.
    """
    results: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    errors = [each for each in results if isinstance(each, BaseException)]
    missing = [each for each in errors if isinstance(each, NotCachedError)]
    if len(missing) > 1 and len(missing) == len(errors):
        raise NotCachedError("\n".join(dict.fromkeys(each.message for each in missing)), remedy=missing[0].remedy)
    if errors:
        raise errors[0]
    return results
