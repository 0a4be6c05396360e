"""One request, and what the layers below the client know of it while it is under way."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from flowmetal.net.faults import RequestFault
from flowmetal.net.urls import Url


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    ``headers`` are all there are but Host and Content-Length.  ``refusal`` says why an address may not be connected to,
    or ""; ``max_head_bytes`` is for the head of the response.
    """

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)
    refusal: Callable[[str], str] = field(repr=False)
    max_head_bytes: int = 64 * 1024


class Line(Protocol):
    """A connection that counts what arrives; ``has_flooded`` once it was more than may."""

    has_flooded: bool

    def took_piece(self, exchange: Exchange) -> None:
        """A piece of the body was taken."""
        ...

    def watch(self, exchange: Exchange, stream: Any) -> None:
        """The body is about to be read from ``stream``, which must not wait for what cannot come any more."""
        ...

    def end(self, exchange: Exchange) -> None:
        """The response was taken: nothing may arrive before the next request."""
        ...


class Exchange:
    """A request under way; ``wire`` is its connection, None until there is one and so nothing can have been sent."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.wire: Line | None = None

    @property
    def place(self) -> str:
        """Host and port."""
        return self.request.url.place

    def check(self, address: str) -> None:
        """Raises ``RequestFault`` unless the address may be connected to."""
        reason = self.request.refusal(address)
        if reason:
            raise RequestFault(f"cannot reach {self.place}: {reason}", kind="denied")


UNDER_WAY: Final[ContextVar[Exchange]] = ContextVar("UNDER_WAY")
"""The exchange of the current task: aiohttp has no other way to tell its parts what a request is about."""
