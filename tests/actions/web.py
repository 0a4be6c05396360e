"""HTTP effects through the steps of the engine, and servers on loopback that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from flowmetal.actions import STANDARD, EffectContext, EffectFailure
from flowmetal.actions.scrubbing import Scrub
from flowmetal.actions.services import Closable, Resources, Services
from flowmetal.net.client import Client
from flowmetal.net.connections import Lookup
from flowmetal.net.late import make_client
from flowmetal.permissions import Allowed, Denied, Want, decide, decide_all, parse_grants
from flowmetal.settings import Limits
from flowmetal.values import Failure, Wire, from_python, pack, to_json_data
from tests.actions.desk import KEY

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Secret:
    """Stands for the reference to a secret in the arguments of a call."""

    name: str


class Store:
    """Secrets with their texts."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def text(self, name: str) -> str | None:
        return self._texts.get(name)


class _Seeded(Resources):
    """Resources whose client has a lookup of its own."""

    def __init__(self, lookup: Lookup | None) -> None:
        super().__init__()
        self._lookup = lookup

    def get(self, make: Callable[[], Any]) -> Any:
        return super().get(self._client if make is make_client else make)

    def _client(self) -> Closable:
        return Client(self._lookup)


@dataclass
class Web:
    """Calling it performs an effect of HTTP; the value comes back as plain data."""

    base: Path
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    secrets: dict[str, str] = field(default_factory=dict)
    lookup: Lookup | None = None
    limits: Limits = field(default_factory=Limits)
    timeout_seconds: float | None = None
    asked: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Web:
        self.services = Services(Store(self.secrets), _Seeded(self.lookup))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.services.resources.close()
        await asyncio.sleep(0)

    async def __call__(self, name: str, *args: object, **kwargs: object) -> Any:
        return to_json_data(await self.wire(name, *args, **kwargs))

    async def wire(self, name: str, *args: object, **kwargs: object) -> Wire:
        """The value as wire data, which any journal takes."""
        grants = parse_grants(self.allow, self.deny, str(self.base))

        def ask(want: Want) -> Allowed | Denied:
            self.asked.append(want.resource)
            return decide(grants, want)

        effect, bound = STANDARD.bind(name, [wire(each) for each in args], {k: wire(v) for k, v in kwargs.items()})
        context = EffectContext(
            KEY,
            str(self.base),
            name,
            limits=self.limits,
            services=self.services,
            decide=ask,
            timeout_seconds=self.timeout_seconds,
        )
        allowed = decide_all(grants, effect.want(bound, context))
        if isinstance(allowed, Denied):
            raise EffectFailure(allowed.message, kind="denied", details={"option": allowed.option})
        performed = effect.perform(allowed, bound, context)
        assert isinstance(performed, Awaitable)
        value = await performed
        pack(value)
        return value

    async def failure(self, name: str, *args: object, **kwargs: object) -> Failure:
        """The failure that the effect must end in."""
        with pytest.raises(EffectFailure) as caught:
            await self(name, *args, **kwargs)
        failure = caught.value.to_failure()
        pack(failure.to_wire())
        assert failure.message.isprintable(), failure.message
        assert len(failure.message) < 1000
        return failure


def wire(value: object) -> Wire:
    """Wire data of Python data, with ``Secret`` in it."""
    if isinstance(value, Secret):
        return {"secret": [value.name, "00000000"]}
    if isinstance(value, list):
        return [wire(each) for each in value]
    if isinstance(value, dict):
        return {"dict": [part for key, item in value.items() for part in (key, wire(item))]}
    return from_python(value)


def details(failure: Failure) -> dict[str, Any]:
    """The details of a failure as plain data."""
    data = to_json_data(failure.details)
    assert isinstance(data, dict)
    return data


def masked(web: Web, value: Wire) -> Wire:
    """What the engine would let through to the journal."""
    return Scrub(web.secrets.items()).wire(value)


# -- servers -------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """One request as it came."""

    head: bytes
    body: bytes
    reader: asyncio.StreamReader = field(repr=False)

    @property
    def line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> dict[str, str]:
        pairs = [line.split(": ", 1) for line in self.head.decode().split("\r\n")[1:] if line]
        assert len({name.lower() for name, _ in pairs}) == len(pairs), pairs
        return {name.lower(): value for name, value in pairs}


Script = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]] | bytes | list[bytes]


@dataclass
class Server:
    """A server that sends what it is given, byte for byte."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grant(self) -> str:
        return f"net=127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(script: Script, tls: Any = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """A server for ``script``: a response for every request, a list with one for each, or a function that writes.

    A response without ``Content-Length`` and ``Transfer-Encoding`` ends with its connection.
    """
    server = Server()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.open.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"\r\ncontent-length: (\d+)", head.lower())
                seen = Seen(head, await reader.readexactly(int(found[1]) if found else 0), reader)
                server.seen.append(seen)
                if not isinstance(script, bytes | list):
                    await script(seen, writer)
                    return
                response = script if isinstance(script, bytes) else script[min(len(server.seen), len(script)) - 1]
                writer.write(response)
                await writer.drain()
                lower = response.split(b"\r\n\r\n")[0].lower()
                if b"content-length" not in lower and b"chunked" not in lower:
                    return
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        finally:
            server.open.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(talk(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    running = await asyncio.start_server(accept, host, 0, ssl=tls)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await running.wait_closed()


def reply(body: bytes = b"", status: str = "200 OK", *headers: str) -> bytes:
    """A response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def redirect(location: str, status: int = 302) -> bytes:
    """A response that leads elsewhere."""
    return reply(b"", f"{status} Elsewhere", f"Location: {location}")


def resolving(answers: dict[str, list[list[str]]]) -> tuple[Lookup, list[str]]:
    """A lookup that gives for each name one answer after the other, and the names that were asked for."""
    asked: list[str] = []
    left: dict[str, Iterator[list[str]]] = {name: iter(each) for name, each in answers.items()}

    async def lookup(name: str, port: int) -> list[str]:
        asked.append(name)
        return next(left[name])

    return lookup, asked
