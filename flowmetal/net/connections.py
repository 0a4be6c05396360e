"""Connections: where they may lead, and how much may come back on them.

What comes back is counted on the wire, below the parser: the head of a response with all that stands before it
(``100 Continue``, as often as a server likes to say it), and whatever arrives between two pieces of a body (extensions
of chunks, trailers), because a parser keeps or skips such things without an end.  A connection that talks although
nothing was asked is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, cast

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler

from flowmetal.net.exchange import UNDER_WAY, Exchange
from flowmetal.net.faults import RequestFault
from flowmetal.net.wording import reason_of

Lookup: TypeAlias = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name, for a port.  Raises OSError."""

CONNECT_SECONDS: Final = 30.0
"""How long a lookup may take, and how long a connection and its TLS."""

_KEEP_SECONDS: Final = 4.0
"""How long a connection waits for the next request: shorter than the five seconds after which some servers hang up."""
_BETWEEN_PIECES_BYTES: Final = 1024 * 1024
"""What may arrive between two pieces of a body that carries none of it; buffers on the way included."""


class Wire(ResponseHandler):
    """A connection that counts what arrives; ``has_flooded`` once it was more than may."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._owner: Exchange | None = None
        self._left_bytes = 0
        self._in_head = True
        self._stream: aiohttp.StreamReader | None = None
        self._is_lost = False
        self.is_new = True
        self.has_flooded = False

    def begin(self, exchange: Exchange) -> None:
        """A request is about to be sent."""
        self._owner = exchange
        self._in_head = True
        self._left_bytes = exchange.request.max_head_bytes

    def took_piece(self, exchange: Exchange) -> None:
        """A piece of the body was taken."""
        if self._owner is exchange:
            self._left_bytes = _BETWEEN_PIECES_BYTES

    def watch(self, exchange: Exchange, stream: aiohttp.StreamReader) -> None:
        """The body is about to be read from ``stream``, which must not wait for what cannot come any more."""
        if self._owner is exchange:
            self._stream = stream
            self._fail_stream()

    def _fail_stream(self) -> None:
        # aiohttp does so too, but not for all that can be wrong with a trailer.
        stream = self._stream
        if self._is_lost and stream is not None and not stream.is_eof() and stream.exception() is None:
            stream.set_exception(aiohttp.ClientPayloadError())

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed."""
        super().connection_lost(exc)
        self._is_lost = True
        self._fail_stream()

    def end(self, exchange: Exchange) -> None:
        """The response was taken: nothing may arrive before the next request."""
        if self._owner is exchange:
            self._owner = self._stream = None
            self._left_bytes = 0

    def feed_data(self, *args: Any) -> None:
        """The parser has the head of a response."""
        message = args[0][0]
        if message.code >= 200 or message.code == 101:
            self._in_head = False
            self._left_bytes = _BETWEEN_PIECES_BYTES
        super().feed_data(*args)

    def data_received(self, data: bytes) -> None:
        """Bytes from the other end; empty when the parser is to go on with what it has."""
        while self._in_head or len(data) <= self._left_bytes:
            # In the head no more than is left of it goes to the parser, for the body may come along with it.
            piece = data[: self._left_bytes] if self._in_head else data
            self._left_bytes -= len(piece)
            super().data_received(piece)
            data = data[len(piece) :]
            if not data or self.exception() is not None:
                return
            if self._in_head:
                break
        self.has_flooded = True
        if self.transport is not None:
            self.transport.abort()


class Resolver(AbstractResolver):
    """Gives aiohttp the addresses that may be connected to, or nothing at all."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """All addresses of a name, if every one of them may be connected to."""
        exchange = UNDER_WAY.get()
        why = ""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                addresses = list(dict.fromkeys(await self._lookup(host, port)))
        except TimeoutError:
            raise RequestFault(
                f"cannot reach {exchange.place}: looking up its name took longer than {CONNECT_SECONDS:.0f} seconds",
                kind="timeout",
            ) from None
        except (OSError, UnicodeError) as error:
            why = f" ({reason_of(error)})" if isinstance(error, OSError) else ""
            addresses = []
        if not addresses:
            raise RequestFault(f"cannot reach {exchange.place}: its name has no address{why}; is it spelt right?")
        for address in addresses:
            exchange.check(address)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Holds nothing."""


class Connector(aiohttp.TCPConnector):
    """Connections whose other end is asked about before each request.

    Args:
        lookup: how names become addresses; None for the system's way.
        trust: whom to believe in TLS.
    """

    def __init__(self, lookup: Lookup | None, trust: ssl.SSLContext) -> None:
        super().__init__(
            resolver=Resolver(lookup or _system_lookup),
            use_dns_cache=False,
            ssl=trust,
            limit=0,  # see Client.turn
            keepalive_timeout=_KEEP_SECONDS,
        )
        self._factory = cast("partial[ResponseHandler]", partial(Wire, loop=asyncio.get_running_loop()))

    async def connect(self, req: aiohttp.ClientRequest, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:
        """A connection for ``req``, new or left open by an earlier request."""
        exchange = UNDER_WAY.get()
        while True:
            connection = await super().connect(req, traces, timeout)
            wire, transport = connection.protocol, connection.transport
            if not isinstance(wire, Wire) or transport is None:
                connection.close()
                raise RequestFault(f"cannot reach {exchange.place}: the connection was closed at once")
            was_new, wire.is_new = wire.is_new, False
            peer = transport.get_extra_info("peername")
            try:
                exchange.check(peer[0] if peer else "")
            except RequestFault:
                connection.close()
                if was_new:
                    raise
                continue  # left open under other grants: connect anew
            wire.begin(exchange)
            exchange.wire = wire
            return connection


async def _system_lookup(name: str, port: int) -> list[str]:
    """As the system has it, in a thread that nobody needs to wait for: a lookup cannot be broken off."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def settle(outcome: list[str] | Exception) -> None:
        if found.done():
            return
        if isinstance(outcome, Exception):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)

    def look() -> None:
        outcome: list[str] | Exception
        try:
            outcome = [str(row[4][0]) for row in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]
        except Exception as error:
            outcome = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=look, name="lookup", daemon=True).start()
    return await found
