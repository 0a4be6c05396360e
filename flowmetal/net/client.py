"""The one HTTP client: it connects to addresses that it was given leave for, and believes nothing that it is sent.

A name is looked up once, here, and every address that it has must pass: a name that leads both to the internet and to
this machine is an attack, not a choice.  The connection goes to one of those addresses and to no other (the pool of
aiohttp has no lookup of its own), and the address at the other end is asked about again before a byte is sent, which
is also what makes a connection that an earlier request left open safe to use under other grants.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from flowmetal.net.connections import CONNECT_SECONDS, Connector, Lookup
from flowmetal.net.exchange import UNDER_WAY, Exchange, Request
from flowmetal.net.faults import RequestFault
from flowmetal.net.urls import Url
from flowmetal.net.wording import fault_of

MAX_REQUESTS: Final = 256
MAX_PER_PLACE: Final = 32

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Response:
    """An answer whose body is still to be read.

    Attributes:
        status: its number.
        headers: names in lower case, values of one name joined by ``", "``.

    Raises:
        RequestFault: a header that holds a control character.
    """

    def __init__(self, answer: aiohttp.ClientResponse, exchange: Exchange) -> None:
        self.status = answer.status
        self.headers: dict[str, str] = {}
        for name, value in answer.raw_headers:
            key, text = _text(name).lower(), _text(value.strip(b" \t"))
            if _CONTROL.search(text):
                raise RequestFault(
                    f"{exchange.place} sent what is not HTTP: a header with control characters", may_have_run=True
                )
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        self._answer = answer
        self._exchange = exchange
        if exchange.wire is not None:
            exchange.wire.watch(exchange, answer.content)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it travels, compressed if it is.

        Raises:
            RequestFault: it was cut off.
        """
        stream = self._answer.content
        while True:
            try:
                piece = await stream.readany()
            except Exception as error:
                raise fault_of(error, self._exchange) from None
            if not piece:
                return
            if self._exchange.wire is not None:
                self._exchange.wire.took_piece(self._exchange)
            yield piece


class Client:
    """Sends requests; connections are kept for a while and shared.  Made on the loop that it is used on.

    Args:
        lookup: how names become addresses; None for the system's way.
        trust: whom to believe in TLS; None for what the system trusts, or the file that SSL_CERT_FILE names.
    """

    def __init__(self, lookup: Lookup | None = None, trust: ssl.SSLContext | None = None) -> None:
        self._all = asyncio.Semaphore(MAX_REQUESTS)
        # A place is forgotten when nobody waits or works there.
        self._places: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._session = aiohttp.ClientSession(
            connector=Connector(lookup, trust or ssl.create_default_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        )

    @asynccontextmanager
    async def turn(self, url: Url) -> AsyncIterator[None]:
        """Waits until fewer than ``MAX_PER_PLACE`` requests to one host and port, and ``MAX_REQUESTS`` in all, go on.

        Time that is spent waiting here is not the server's.
        """
        place = self._places.setdefault(url.place, asyncio.Semaphore(MAX_PER_PLACE))
        async with place, self._all:
            yield

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Response]:
        """Sends a request and gives its answer; no redirect is followed.

        Raises:
            RequestFault: there is none.
        """
        exchange = Exchange(request)
        before = UNDER_WAY.set(exchange)
        try:
            answer = await self._session.request(
                request.method,
                URL(request.url.text, encoded=True),
                headers=CIMultiDict(request.headers),
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                data=request.body,
                allow_redirects=False,
                max_line_size=request.max_head_bytes,
                max_field_size=request.max_head_bytes,
            )
        except Exception as error:
            raise fault_of(error, exchange) from None
        finally:
            UNDER_WAY.reset(before)
        try:
            async with answer:
                if answer.status < 200:
                    raise RequestFault(f"{exchange.place} wants to speak another protocol", may_have_run=True)
                yield Response(answer, exchange)
        finally:
            if exchange.wire is not None:
                exchange.wire.end(exchange)

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
