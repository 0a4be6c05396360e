"""What the engine shares among all its actions: secrets, and things that are made once and closed at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast


class Secrets(Protocol):
    """Where the texts of secrets come from."""

    def text(self, name: str) -> str | None:
        """The text of a secret; None if there is none of that name.

        Raises:
            UsageError: it is there and may not be used; says why.
        """
        ...


class NoSecrets:
    """There are none."""

    def text(self, name: str) -> str | None:
        """None, whatever the name."""
        return None


class Closable(Protocol):
    """Something that must be closed before its event loop ends."""

    async def close(self) -> None:
        """Frees what it holds; nothing of it is used afterwards."""
        ...


T = TypeVar("T", bound=Closable)


class Resources:
    """Things that effects share, such as a pool of connections: made at the first use, closed with the engine."""

    def __init__(self) -> None:
        self._made: dict[Callable[[], Any], Closable] = {}

    def get(self, make: Callable[[], T]) -> T:
        """What ``make`` gave when it was first asked for."""
        if make not in self._made:
            self._made[make] = make()
        return cast(T, self._made[make])

    async def close(self) -> None:
        """Closes all of them, the last made first."""
        while self._made:
            _, resource = self._made.popitem()
            await resource.close()


@dataclass(frozen=True, slots=True)
class Services:
    """See the module's text."""

    secrets: Secrets = field(default_factory=NoSecrets)
    resources: Resources = field(default_factory=Resources)
