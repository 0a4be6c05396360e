"""Fetching one file by HTTP, through the same guarded client that flows have, with leave of its own.

A name that a stranger wrote leads to public addresses only; a place that the operator configured may be anywhere but
where clouds hand out credentials.  A redirect to another origin loses that leave.  What is fetched is compared with a
digest afterwards, so a body is never decoded: one that is encoded is refused.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

from flowmetal.errors import PackageError, UnreachableError, UsageError
from flowmetal.net.exchange import Request
from flowmetal.net.faults import RequestFault
from flowmetal.net.late import make_client
from flowmetal.net.urls import Url, join, parse_url
from flowmetal.packages.origins import Fetched
from flowmetal.permissions import networks

if TYPE_CHECKING:
    from flowmetal.net.client import Client, Response

MAX_REDIRECTS: Final = 5
TOTAL_SECONDS: Final = 60.0
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_OFFLINE: Final = "--offline uses what is on this machine already"
_ELSEWHERE: Final = (
    f"a [[registry]] in flowmetal.toml says where else packages are, [replace] takes a folder; {_OFFLINE}"
)
_ABSENT: Final = frozenset((404, 410))
_LOCAL: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
_ANYWHERE: Final = tuple(networks.parse_network(text) for text in ("0.0.0.0/0", "::/0"))
_LOOPBACK: Final = tuple(networks.parse_network(text) for text in networks.LOOPBACK)
_MOST_ETAG: Final = 200


class HttpFetch:
    """See ``flowmetal.packages.origins.Fetch``; made on the loop that it is used on.

    Args:
        client: sends the requests; one of its own by default.
    """

    def __init__(self, client: Client | None = None) -> None:
        self._client: Client = client or make_client()

    async def close(self) -> None:
        """Closes every connection."""
        await self._client.close()

    async def __call__(self, url: str, limit_bytes: int, *, is_trusted: bool, etag: str = "") -> Fetched | None:
        """What is at a URL; None if the server says that there is nothing.

        Raises:
            UnreachableError: no answer, or none that may be used.
            PackageError: an answer that is too large, or encoded.
        """
        at = _parsed(url, url)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._follow(at, limit_bytes, is_trusted, etag)
        except TimeoutError:
            raise UnreachableError(f"{url} did not come within {TOTAL_SECONDS:.0f} seconds") from None
        except RequestFault as fault:
            if fault.kind == "denied":
                remedy = "where packages come from must be public, but for a [[registry]] that you configure"
                raise UnreachableError(f"{url}: {fault.message}", remedy=remedy) from None
            raise UnreachableError(f"{url}: {fault.message}", remedy=_OFFLINE if is_trusted else _ELSEWHERE) from None

    async def _follow(self, at: Url, limit_bytes: int, is_trusted: bool, etag: str) -> Fetched | None:
        first = at
        for _ in range(MAX_REDIRECTS + 1):
            tag = (("If-None-Match", etag),) if etag else ()
            headers = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "flowmetal"), *tag)
            reach = _ANYWHERE if is_trusted else _LOOPBACK if _is_local(first) and _is_local(at) else ()
            _check_literal(at, reach)
            request = Request("GET", at, headers, None, partial(_refusal, reach))
            async with self._client.turn(at), self._client.send(request) as response:
                if response.status not in _REDIRECTS:
                    return await _take(at, response, limit_bytes, etag)
                location = response.headers.get("location", "")
            before, at = at, _parsed(location, str(at), at)
            if before.scheme == "https" and at.scheme != "https":
                raise UnreachableError(f"{before} redirects to {at.scheme}, away from https")
            is_trusted = is_trusted and at.has_origin_of(before)
        raise UnreachableError(f"{first} redirects more than {MAX_REDIRECTS} times")


async def _take(at: Url, response: Response, limit_bytes: int, etag: str) -> Fetched | None:
    if response.status in _ABSENT:
        return None
    if response.status == 304 and etag:
        return Fetched(None, etag)
    if response.status != 200:
        raise UnreachableError(f"{at} answered {response.status}")
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise PackageError(f"{at} is sent encoded, which was not asked for: its bytes are what is compared")
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > limit_bytes:
        raise _too_large(at, limit_bytes)
    data = bytearray()
    async with aclosing(response.pieces()) as pieces:
        async for piece in pieces:
            data += piece
            if len(data) > limit_bytes:
                raise _too_large(at, limit_bytes)
    tag = response.headers.get("etag", "")
    return Fetched(bytes(data), tag if len(tag) <= _MOST_ETAG and tag.isprintable() and tag.isascii() else "")


def _too_large(at: Url, limit_bytes: int) -> PackageError:
    return PackageError(f"{at} has more than {limit_bytes:,} bytes, the limit")


def _parsed(text: str, whose: str, base: Url | None = None) -> Url:
    """A URL that may be fetched: of https, or of http on this machine."""
    try:
        url = parse_url(text) if base is None else join(base, text)
    except UsageError as error:
        raise UnreachableError(f"{whose} leads to what is no URL: {error.message}") from None
    if url.scheme != "https" and not _is_local(url):
        raise UnreachableError(f"{url} is of http, which is for this machine only", remedy="use https")
    return url


def _is_local(url: Url) -> bool:
    return url.host in _LOCAL


def _check_literal(url: Url, reach: tuple[networks.Network, ...]) -> None:
    """Raises ``RequestFault`` if a URL's host is an address that may not be connected to: none is looked up then."""
    literal = url.host.strip("[]")
    if ":" in literal or literal.rpartition(".")[2].isdigit():
        reason = _refusal(reach, literal)
        if reason:
            raise RequestFault(f"cannot reach {url.place}: {reason}", kind="denied")


def _refusal(reach: tuple[networks.Network, ...], address: str) -> str:
    try:
        return networks.refusal(networks.parse_address(address), reach, ())
    except UsageError as error:
        return error.message
