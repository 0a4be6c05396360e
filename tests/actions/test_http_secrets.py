"""Secrets in requests: they go where they may, and come back from nowhere."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from flowmetal.values import pack
from tests.actions.web import Secret, Seen, Server, Web, masked, redirect, reply, resolving, serving

TOKEN = 'p+ss/w0rd="ä\\& 123'
PLAIN = "plain-token-42"


def web(base: Path, server: Server, **more: Any) -> Web:
    grants = [server.grant, *(f"secret={name}@127.0.0.1:{server.port}" for name in ("TOKEN", "PLAIN"))]
    return Web(base, grants, secrets={"TOKEN": TOKEN, "PLAIN": PLAIN}, **more)


def test_where_secrets_may_stand(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"ok")) as server, web(base, server) as http:
            await http("http.get", server.url, headers={"Authorization": ["Bearer ", Secret("PLAIN")]})
            assert server.seen[-1].headers["authorization"] == f"Bearer {PLAIN}"
            await http("http.get", server.url, query={"k": Secret("TOKEN"), "l": ["a", Secret("PLAIN"), "z"]})
            expected = f"GET /?k={quote(TOKEN, safe='')}&l=a{PLAIN}z HTTP/1.1"
            assert server.seen[-1].line == expected
            await http("http.post", server.url, json={"k": [{"d": Secret("TOKEN")}]})
            assert json.loads(server.seen[-1].body) == {"k": [{"d": TOKEN}]}
            await http("http.post", server.url, text=["<", Secret("TOKEN"), ">"])
            assert server.seen[-1].body == f"<{TOKEN}>".encode()
            await http("http.post", server.url, form={"k": Secret("TOKEN")})
            assert server.seen[-1].body == f"k={quote_plus(TOKEN)}".encode()
            assert len(server.seen) == 5

    asyncio.run(scenario())


def test_a_secret_is_for_its_host_and_port(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"ok")) as server:
            grants = [server.grant, "net=*:*", "secret=PLAIN@api.example"]
            async with Web(base, grants, secrets={"PLAIN": PLAIN}) as http:
                for where in ("headers", "query", "form", "json"):
                    failure = await http.failure("http.post", server.url, **{where: {"X": Secret("PLAIN")}})
                    assert failure.kind == "denied"
                    assert f"sending the secret PLAIN to 127.0.0.1:{server.port} is not granted" in failure.message
                    assert f"add --allow secret=PLAIN@127.0.0.1:{server.port}" in failure.message
                failure = await http.failure("http.get", "http://api.example/", headers={"X": Secret("PLAIN")})
                assert failure.kind == "denied", "in clear text on port 80 is not on 443"
                assert server.connections == 0

    asyncio.run(scenario())


def test_no_url_holds_a_secret(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"ok")) as server, web(base, server) as http:
            failure = await http.failure("http.get", Secret("PLAIN"))
            assert failure.kind == "error"
            assert "takes a str as `url`" in failure.message
            failure = await http.failure("http.get", server.url, headers={"X": {"a": Secret("PLAIN")}})
            assert failure.kind == "error"
            assert server.connections == 0

    asyncio.run(scenario())


def test_a_secret_that_no_header_can_hold_is_not_shown(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"ok")) as server, web(base, server) as http:
            http.secrets["PLAIN"] = "first-line\r\nX-Second: line"
            failure = await http.failure("http.get", server.url, headers={"X": Secret("PLAIN")})
            assert "the header X holds a line end" in failure.message
            assert "line\\r" not in str(failure)
            assert "Second" not in str(failure)
            http.secrets["PLAIN"] = "short"
            assert (
                "shorter than 8" in (await http.failure("http.get", server.url, query={"X": Secret("PLAIN")})).message
            )
            del http.secrets["PLAIN"]
            assert (
                "there is no secret PLAIN"
                in (await http.failure("http.get", server.url, query={"X": Secret("PLAIN")})).message
            )
            assert server.connections == 0

    asyncio.run(scenario())


def echoes(text: str) -> dict[str, bytes]:
    data = text.encode()
    found = {
        "as it is": data,
        "URL": quote(text, safe="").encode(),
        "form": quote_plus(text).encode(),
        "JSON": json.dumps(text).encode(),
        "JSON, not ASCII": json.dumps(text, ensure_ascii=False).encode(),
        "hex": data.hex().encode(),
        "HEX": data.hex().upper().encode(),
    }
    for before in ("", "u:", "me:"):
        found[f"basic {before}"] = base64.b64encode(f"{before}{text}".encode())
        found[f"url-safe {before}"] = base64.urlsafe_b64encode(f"{before}{text}".encode())
    return found


@pytest.mark.parametrize("secret", [PLAIN, TOKEN])
@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
def test_what_a_server_echoes_is_masked(base: Path, secret: str, status: str) -> None:
    name = "PLAIN" if secret == PLAIN else "TOKEN"
    forms = echoes(secret)
    replies = [reply(b"<<" + form + b">>", status, "X-Echo: " + form.decode("latin-1")) for form in forms.values()]
    replies += [
        reply(form, status, "Content-Type: application/json")
        for form in (forms["JSON"], b"[" + forms["JSON, not ASCII"] + b"]")
    ]

    async def scenario() -> None:
        async with serving(replies) as server, web(base, server) as http:
            for count in range(len(replies)):
                arguments: dict[str, Any] = {"query": {"k": Secret(name)}, "text": Secret(name)}
                if status.startswith("200"):
                    wire = await http.wire("http.post", server.url, **arguments)
                    shown = pack(masked(http, wire))
                else:
                    shown = pack((await http.failure("http.post", server.url, **arguments)).to_wire())
                assert b"[secret " + name.encode() in shown, count
                for form in forms.values():
                    assert form.strip(b'"').rstrip(b"=") not in shown, (count, form)

    asyncio.run(scenario())


def test_the_url_of_an_answer_shows_no_secret(base: Path) -> None:
    async def scenario() -> None:
        replies = [reply(b"ok"), redirect(f"/again?k={PLAIN}"), reply(b"ok")]
        async with serving(replies) as server, web(base, server) as http:
            answer = await http("http.get", server.url, query={"k": Secret("TOKEN")})
            assert answer["url"] == f"{server.url}/?k=[secret TOKEN]"
            answer = await http("http.get", server.url, query={"k": Secret("PLAIN")}, follow=1)
            assert answer["url"] == f"{server.url}/again?k=[secret PLAIN]"

    asyncio.run(scenario())


def test_a_secret_that_changes_meanwhile_is_masked_as_it_was_sent(base: Path) -> None:
    class Changing(dict[str, str]):
        count = 0

        def get(self, name: str, default: Any = None) -> Any:
            self.count += 1
            return f"secret-number-{self.count:04}"

    async def echo(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(seen.headers["x"].encode(), "403 Forbidden"))

    async def scenario() -> None:
        async with serving(echo) as server, web(base, server) as http:
            http.services.secrets._texts = Changing()
            for _ in range(5):
                failure = await http.failure("http.get", server.url, headers={"X": Secret("PLAIN")})
                assert failure.message.endswith("403 Forbidden: [secret PLAIN]")

    asyncio.run(scenario())


def test_no_failure_shows_a_secret(base: Path) -> None:
    """Failures of every kind, each with secrets in all places at once."""
    lookup, _ = resolving({"gone.example": [[]], "inside.example": [["10.0.0.1"]]})

    async def scenario() -> None:
        hostile = f"220 {PLAIN} no http\r\n\r\n".encode()
        replies = [
            redirect(f"http://{PLAIN}.example/"),
            redirect(f"file:///{PLAIN}"),
            reply(b"[" + PLAIN.encode(), "200 OK", "Content-Type: application/json"),
            reply(b"x", "200 OK", f"Content-Encoding: {PLAIN}"),
            hostile,
        ]
        async with serving(replies) as server, web(base, server, lookup=lookup) as http:
            http.allow = [
                *http.allow, "net=gone.example", "net=inside.example",
                "secret=PLAIN@gone.example:80", "secret=PLAIN@inside.example:80",
            ]  # fmt: skip
            urls = [server.url] * len(replies) + ["http://gone.example/", "http://inside.example/"]
            for url in urls:
                failure = await http.failure(
                    "http.post",
                    url,
                    headers={"Authorization": ["Basic ", Secret("PLAIN")]},
                    query={"k": Secret("PLAIN")},
                    json=[Secret("PLAIN")],
                    follow=3,
                )
                assert PLAIN not in str(failure), failure
                assert PLAIN.encode() not in pack(failure.to_wire())

    asyncio.run(scenario())
