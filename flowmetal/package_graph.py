"""The packages of one program, resolved: which version of each, and its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Member:
    """One package of a graph.

    ``tree`` is the digest of its listing, ``version`` and ``tree`` are "" of one that is replaced by a folder;
    ``permissions`` are what of its manifest was accepted; ``texts`` are its flow files by path.
    """

    package: str
    version: str
    tree: str
    entry: str
    requires: Mapping[str, str]
    exports: tuple[str, ...]
    permissions: tuple[str, ...]
    texts: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Graph:
    """All packages of a program by id; ``requires`` are those of the root's manifest, None of a script without one."""

    requires: Mapping[str, str] | None
    members: Mapping[str, Member]


@dataclass(frozen=True, slots=True)
class Request:
    """What a module of the root program asks for: a package, and ``1.4.2``, ``sha256:…`` or ""."""

    package: str
    requirement: str


class PackageSource(Protocol):
    """Where the packages of a program come from."""

    @property
    def notices(self) -> Sequence[str]:
        """What is to be told of those that were resolved."""
        ...

    async def resolve(self, requests: Sequence[Request]) -> Graph:
        """The packages that the root program needs, all at once.

        Raises:
            FlowmetalError: one of them cannot be had; a ``PackageError`` says why.
        """
        ...
