"""HTTP effects with names, connections and servers that mean harm, or are broken."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import threading
import tracemalloc
from pathlib import Path

import pytest
import trustme

from flowmetal.settings import Limits
from tests.actions.web import OK, Seen, Web, details, reply, resolving, serving

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


# -- names and addresses -------------------------------------------------------------------------------

NOT_PUBLIC = [
    "127.0.0.1",
    "127.8.9.10",
    "10.1.2.3",
    "192.168.0.1",
    "172.16.0.1",
    "100.64.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "ff02::1",
    "no address",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_leads_to_public_addresses_only(base: Path, address: str) -> None:
    public = "93.184.216.34"
    mixes = [[address], [public, address], [address, public], [public, public, address]]
    lookup, asked = resolving({"name.example": mixes})

    async def scenario() -> None:
        async with Web(base, ["net=*:*"], lookup=lookup) as http:
            for count in range(len(mixes)):
                failure = await http.failure("http.get", "http://name.example/")
                assert failure.kind == "denied"
                assert failure.message.startswith("http.get: cannot reach name.example:80: ")
                assert len(asked) == count + 1
                assert details(failure)["may_have_run"] is False

    asyncio.run(scenario())


def test_a_refused_address_says_what_would_allow_it(base: Path) -> None:
    lookup, _ = resolving({"name.example": [["10.1.2.3"]]})

    async def scenario() -> None:
        async with Web(base, ["net=name.example"], lookup=lookup) as http:
            failure = await http.failure("http.get", "http://name.example/")
            assert "name.example leads to 10.1.2.3" in failure.message
            assert failure.message.endswith("add --allow net=10.1.2.3:80")
            assert details(failure)["option"] == "--allow net=10.1.2.3:80"

    asyncio.run(scenario())


def test_a_name_that_rebinds_is_looked_up_once_for_a_request(base: Path) -> None:
    """The address that was looked at is the one that is connected to, and the next request looks again."""

    async def scenario() -> None:
        async with serving(reply(b"local", "200 OK", "Connection: close")) as server:
            lookup, asked = resolving({"name.example": [["127.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["10.0.0.1"]]})
            url = f"http://name.example:{server.port}/"
            async with Web(base, [f"net=name.example:{server.port}", server.grant], lookup=lookup) as http:
                answer = await http("http.get", url)
                assert answer["text"] == "local"
                assert server.seen[0].headers["host"] == f"name.example:{server.port}"
                for count in (2, 3):
                    assert (await http.failure("http.get", url)).kind == "denied"
                    assert len(asked) == count
                assert len(server.seen) == 1

    asyncio.run(scenario())


def test_an_open_connection_is_not_for_other_grants(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"local")) as server:
            lookup, asked = resolving({"name.example": [["127.0.0.1"], ["127.0.0.1"]]})
            url = f"http://name.example:{server.port}/"
            async with Web(base, ["net=*:*", server.grant], lookup=lookup) as http:
                await http("http.get", url)
                await http("http.get", url)
                assert (server.connections, len(asked)) == (1, 1)
                http.allow = ["net=*:*"]
                assert (await http.failure("http.get", url)).kind == "denied"
                assert (len(server.seen), len(asked)) == (2, 2)

    asyncio.run(scenario())


def test_localhost_is_granted_by_its_name(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"x")) as server:
            url = f"http://localhost.:{server.port}/"
            async with Web(base, ["net=*:*"]) as http:
                assert (await http.failure("http.get", url)).kind == "denied"
            async with Web(base, [f"net=localhost:{server.port}"]) as http:
                assert (await http("http.get", url))["url"] == f"http://localhost:{server.port}/"

    asyncio.run(scenario())


def test_a_name_without_addresses(base: Path) -> None:
    async def missing(name: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def empty(name: str, port: int) -> list[str]:
        return []

    async def scenario() -> None:
        async with Web(base, ["net=*:*"], lookup=missing) as http:
            failure = await http.failure("http.get", "http://nobody.example/?hidden")
            assert failure.message == (
                "http.get: cannot reach nobody.example:80: its name has no address (name or service not known); "
                "is it spelt right?"
            )
            assert failure.kind == "effect"
            assert details(failure) == {
                "host": "nobody.example:80", "url": "http://nobody.example/", "may_have_run": False
            }  # fmt: skip
        async with Web(base, ["net=*:*"], lookup=empty) as http:
            assert "has no address; is" in (await http.failure("http.get", "http://nobody.example/")).message

    asyncio.run(scenario())


def test_a_lookup_that_hangs_holds_nobody_up(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        entered.set()
        leave.wait(60)
        return []

    async def scenario() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        async with Web(base, ["net=*:*"]) as http:
            task = asyncio.create_task(http("http.get", "http://slow.example/"))
            await asyncio.to_thread(entered.wait, 60)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
    (thread,) = [each for each in threading.enumerate() if each.name == "lookup"]
    leave.set()
    thread.join(60)
    assert not thread.is_alive()


def test_nobody_listens(base: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]

        async def scenario() -> None:
            async with Web(base, [f"net=127.0.0.1:{port}"]) as http:
                failure = await http.failure("http.post", f"http://127.0.0.1:{port}/", text="x")
                assert failure.message == (
                    f"http.post: cannot reach 127.0.0.1:{port}: connection refused; does a server run there?"
                )
                assert details(failure)["may_have_run"] is False

        asyncio.run(scenario())


# -- TLS -----------------------------------------------------------------------------------------------


def test_certificates_are_verified_for_the_name(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(base / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("name.example").configure_cert(tls)

    async def lookup(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    names: list[str | None] = []
    tls.sni_callback = lambda connection, name, context: names.append(name)

    async def scenario() -> None:
        async with serving(reply(b"safe"), tls) as server:
            grants = [f"net=*:{server.port}", server.grant]
            async with Web(base, grants, lookup=lookup) as http:
                failure = await http.failure("http.get", f"https://name.example:{server.port}/")
                assert failure.message.startswith(f"http.get: cannot trust name.example:{server.port}: its certificate")
                assert "SSL_CERT_FILE" in failure.message
                assert details(failure)["may_have_run"] is False
            monkeypatch.setenv("SSL_CERT_FILE", str(base / "ca.pem"))
            async with Web(base, grants, lookup=lookup) as http:
                assert (await http("http.get", f"https://name.example:{server.port}/"))["text"] == "safe"
                assert names[-1] == "name.example"
                failure = await http.failure("http.get", f"https://other.example:{server.port}/")
                assert "cannot trust other.example" in failure.message
                failure = await http.failure("http.get", f"https://127.0.0.1:{server.port}/")
                assert "cannot trust 127.0.0.1" in failure.message
            assert len(server.seen) == 1

    asyncio.run(scenario())


def test_plain_http_where_tls_is_spoken_and_the_other_way_round(base: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(tls)

    async def puzzled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply(b"", "400 Bad Request"))
        writer.close()
        await writer.wait_closed()

    async def scenario() -> None:
        plain = await asyncio.start_server(puzzled, "127.0.0.1", 0)
        port = plain.sockets[0].getsockname()[1]
        async with plain, serving(reply(b"x"), tls) as safe, Web(base, [f"net=127.0.0.1:{port}", safe.grant]) as http:
            failure = await http.failure("http.get", f"https://127.0.0.1:{port}/")
            assert "does it speak https on this port?" in failure.message
            assert details(failure)["may_have_run"] is False
            failure = await http.failure("http.get", safe.url)
            assert details(failure)["may_have_run"] is True

    asyncio.run(scenario())


# -- answers -------------------------------------------------------------------------------------------

LIMITS = Limits(http_body_bytes=100_000, http_header_bytes=10_000)

BROKEN = {
    "wrong length, short": (OK + b"Content-Length: 10\r\nConnection: close\r\n\r\nshort", "effect"),
    "no number as length": (OK + b"Content-Length: ten\r\n\r\nshort", "effect"),
    "two lengths": (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "effect"),
    "negative length": (OK + b"Content-Length: -1\r\n\r\n", "effect"),
    "length and chunks": (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "effect"),
    "chunks cut off": (CHUNKED + b"5\r\nab", "effect"),
    "chunk without end": (CHUNKED + b"5\r\nabcde", "effect"),
    "no chunk size": (CHUNKED + b"zz\r\nabcde\r\n0\r\n\r\n", "effect"),
    "no HTTP": (b"220 smtp.example ready\r\n\r\n", "effect"),
    "nothing": (b"", "effect"),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-", "effect"),
    "bad status": (b"HTTP/1.1 2000 OK\r\n\r\n", "effect"),
    "status 99": (b"HTTP/1.1 099 OK\r\n\r\n", "effect"),
    "switching": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx", "effect"),
    "line end in header": (OK + b"A: b\rC: d\r\n\r\n", "effect"),
    "NUL in header": (OK + b"A: b\0\r\n\r\n", "effect"),
    "escape in header": (OK + b"A: \x1b[2J\r\n\r\n", "effect"),
    "header without colon": (OK + b"nothing\r\n\r\n", "effect"),
    "one long header": (OK + b"A: " + b"x" * 20_000 + b"\r\n\r\n", None),
    "many headers": (OK + b"A: x\r\n" * 5_000 + b"\r\n", None),
    "long status line": (b"HTTP/1.1 200 " + b"x" * 20_000 + b"\r\n\r\n", None),
    "body too large": (reply(b"x" * 100_001), "limit"),
    "body too large, undeclared": (OK + b"\r\n" + b"x" * 100_001, "limit"),
    "body too large, in chunks": (CHUNKED + b"100\r\n" + b"x" * 256 + b"\r\n" + b"100\r\n" * 0, "effect"),
    "declared far too large": (OK + b"Content-Length: 99999999999\r\n\r\n", "limit"),
    "gzip bomb": (reply(gzip.compress(bytes(10_000_000)), "200 OK", "Content-Encoding: gzip"), "limit"),
    "bad gzip": (reply(b"no gzip", "200 OK", "Content-Encoding: gzip"), "effect"),
    "brotli": (reply(b"x", "200 OK", "Content-Encoding: br"), "effect"),
    "zstd over gzip": (reply(b"x", "200 OK", "Content-Encoding: gzip, zstd"), "effect"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_an_err(base: Path, name: str) -> None:
    response, kind = BROKEN[name]

    async def scenario() -> None:
        async def once(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(response)
            await writer.drain()

        async with serving(once) as server, Web(base, [server.grant], limits=LIMITS) as http:
            failure = await http.failure("http.post", f"{server.url}/?hidden", text="x")
            assert failure.kind == kind or (kind is None and failure.kind in ("limit", "effect"))
            assert f"127.0.0.1:{server.port}" in failure.message
            assert "hidden" not in str(failure)
            assert details(failure)["may_have_run"] is True
            assert len(server.seen) == 1, "what may have run is not sent again"

    asyncio.run(scenario())


def endless(first: bytes, again: bytes) -> tuple[bytes, bytes]:
    return first, again * (65_536 // len(again) + 1)


FLOODS = {
    "1xx": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "1xx with headers": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 500 + b"\r\n\r\n"),
    "headers": endless(OK, b"X-A: b\r\n"),
    "one header": endless(OK + b"X: ", b"x"),
    "status line": endless(b"HTTP/1.1 200 ", b"x"),
    "trailers": endless(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-A: b\r\n"),
    "one trailer": endless(CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"x"),
    "chunk extension": endless(CHUNKED + b"1;", b"a=b;"),
    "chunk size": endless(CHUNKED, b"0"),
    "chunks": endless(CHUNKED, b"1\r\nx\r\n"),
    "body": endless(OK + b"\r\n", b"x"),
    "gzip members": endless(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")),
    "blank lines": endless(b"", b"\r\n"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_and_costs_little(base: Path, name: str) -> None:
    first, again = FLOODS[name]

    async def flood(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()

    async def scenario() -> None:
        async with serving(flood) as server, Web(base, [server.grant], limits=LIMITS, timeout_seconds=60) as http:
            await http.failure("http.get", f"{server.url}/warm")
            tracemalloc.start()
            failure = await http.failure("http.get", server.url)
            peak_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert failure.kind in ("limit", "effect")
            assert peak_bytes < 64_000_000
            async with asyncio.timeout(20):
                while server.open:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_bytes_that_nobody_asked_for_are_no_answer(base: Path) -> None:
    """A server must not put the answer to a later request into the connection."""

    async def scenario() -> None:
        pushed = asyncio.Event()

        async def push(seen: Seen, writer: asyncio.StreamWriter) -> None:
            writer.write(reply(seen.line.encode()))
            await writer.drain()
            await asyncio.sleep(0.05)
            if seen.line.startswith("GET /first"):
                writer.write(reply(b"poison"))
                await writer.drain()
                pushed.set()
                await asyncio.sleep(30)

        async with serving(push) as server, Web(base, [server.grant]) as http:
            await http("http.get", f"{server.url}/first")
            await pushed.wait()
            await asyncio.sleep(0.05)
            answer = await http("http.get", f"{server.url}/second")
            assert answer["text"] == "GET /second HTTP/1.1"
            assert server.connections == 2
        async with serving(reply(b"one") + reply(b"poison")) as server, Web(base, [server.grant]) as http:
            for _ in range(3):
                assert (await http("http.get", server.url))["text"] == "one"

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [b"", OK, OK + b"Content-Length: 10\r\n\r\nabc", CHUNKED + b"3\r\nabc\r\n"])
def test_a_reset_midway_may_have_run(base: Path, sent: bytes) -> None:
    async def reset(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def scenario() -> None:
        async with serving(reset) as server, Web(base, [server.grant]) as http:
            failure = await http.failure("http.post", server.url, json={"a": 1})
            assert failure.kind == "effect"
            assert "may have been carried out" in failure.message
            assert details(failure)["may_have_run"] is True
            assert len(server.seen) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("sent", [b"", OK, OK + b"Content-Length: 10\r\n\r\nabc", b"HTTP/1.1 404 No\r\n\r\nabc"])
def test_a_slow_server_is_cut_off(base: Path, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowmetal.actions import http_perform

    monkeypatch.setattr(http_perform, "DEFAULT_SECONDS", 0.5)
    monkeypatch.setattr(http_perform, "_REFUSAL_SECONDS", 0.1)

    async def slow(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        while not seen.reader.at_eof():
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(b"" if b"Content-Length" in sent or not sent else b"x: y\r\n" if sent == OK else b"x")

    async def scenario() -> None:
        async with serving(slow) as server, Web(base, [server.grant]) as http:
            failure = await http.failure("http.get", server.url)
            if b"404" in sent:
                assert details(failure)["status"] == 404
                assert details(failure)["body"].startswith("abc")
            else:
                assert failure.kind == "timeout"
                assert "`timeout = " in failure.message
                assert details(failure)["may_have_run"] is True
            async with asyncio.timeout(20):
                while server.open:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_headers_that_are_no_text_are_told_as_they_can_be(base: Path) -> None:
    async def scenario() -> None:
        response = OK + b"X-A: \xc3\xa4\r\nX-B: \xe4\xff\r\nX-C:  \t spaced \t\r\nContent-Length: 0\r\n\r\n"
        async with serving(response) as server, Web(base, [server.grant]) as http:
            headers = (await http("http.get", server.url))["headers"]
            assert headers == {"x-a": "ä", "x-b": "äÿ", "x-c": "spaced", "content-length": "0"}

    asyncio.run(scenario())
