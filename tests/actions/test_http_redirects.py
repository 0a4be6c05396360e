"""Redirects: each hop is asked for anew, and takes along no more than it may."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from tests.actions.web import Secret, Web, details, redirect, reply, resolving, serving

TOKEN = "t0ken-0123456789"


def test_none_is_followed_unless_asked(base: Path) -> None:
    async def scenario() -> None:
        async with serving([redirect("/b", 301), reply(b"b")]) as server, Web(base, [server.grant]) as http:
            answer = await http("http.get", server.url)
            assert (answer["status"], answer["headers"]["location"]) == (301, "/b")
            assert len(server.seen) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("GET", 301, "GET"),
        ("HEAD", 302, "HEAD"),
        ("HEAD", 303, "HEAD"),
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 301, "PUT"),
        ("PUT", 303, "GET"),
        ("PATCH", 302, "PATCH"),
        ("DELETE", 302, "DELETE"),
        ("DELETE", 303, "GET"),
    ],
)
def test_what_becomes_of_the_method(base: Path, method: str, status: int, then: str) -> None:
    async def scenario() -> None:
        async with serving([redirect("b?c=d", status), reply()]) as server, Web(base, [server.grant]) as http:
            has_body = method not in ("GET", "HEAD")
            text = "body" if has_body else None
            answer = await http("http.request", method, f"{server.url}/x/a?q", headers={"X": "y"}, text=text, follow=1)
            assert answer["url"] == f"{server.url}/x/b?c=d"
            first, second = server.seen
            assert second.line == f"{then} /x/b?c=d HTTP/1.1"
            assert second.headers["x"] == "y"
            keeps = has_body and then == method
            assert second.body == (b"body" if keeps else b"")
            assert ("content-type" in second.headers) == keeps
            assert second.headers.get("idempotency-key") == (first.headers["idempotency-key"] if keeps else None)

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [300, 304, 305, 306, 310])
def test_other_statuses_lead_nowhere(base: Path, status: int) -> None:
    async def scenario() -> None:
        async with serving([redirect("/b", status)]) as server, Web(base, [server.grant]) as http:
            assert (await http("http.get", server.url, follow=5))["status"] == status
            assert len(server.seen) == 1

    asyncio.run(scenario())


def test_each_hop_needs_a_grant_of_its_own(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"inside")) as inner:
            leading = [redirect(f"{inner.url}/?hidden"), redirect("http://169.254.169.254/latest/meta-data"), reply()]
            async with serving(leading) as outer, Web(base, [outer.grant]) as http:
                failure = await http.failure("http.get", outer.url, follow=3)
                assert failure.kind == "denied"
                assert failure.message == (
                    f"http.get: GET 127.0.0.1:{inner.port} is not granted (`{outer.grant}` is for port {outer.port}): "
                    f"add --allow net=127.0.0.1:{inner.port}/GET "
                    "(a redirect leads there)"
                )
                assert details(failure)["option"] == f"--allow net=127.0.0.1:{inner.port}/GET"
                failure = await http.failure("http.get", outer.url, follow=3)
                assert failure.kind == "denied"
                assert "169.254.169.254" in failure.message
                assert http.asked == [f"127.0.0.1:{inner.port}/GET", "169.254.169.254:80/GET"]
                assert inner.connections == 0

    asyncio.run(scenario())


def test_a_grant_for_one_method_is_none_for_another(base: Path) -> None:
    async def scenario() -> None:
        async with serving([redirect("/b", 303)]) as server, Web(base, [f"{server.grant}/POST"]) as http:
            failure = await http.failure("http.post", server.url, follow=1)
            assert failure.kind == "denied"
            assert "is for POST" in failure.message

    asyncio.run(scenario())


def test_a_hop_is_looked_up_and_checked(base: Path) -> None:
    lookup, asked = resolving({"inside.example": [["10.0.0.1"]], "mixed.example": [["93.184.216.34", "127.0.0.1"]]})

    async def scenario() -> None:
        replies = [redirect("http://inside.example/"), redirect("//mixed.example:80/")]
        async with serving(replies) as server, Web(base, ["net=*:*", server.grant], lookup=lookup) as http:
            for name in ("inside.example", "mixed.example"):
                failure = await http.failure("http.get", server.url, follow=2)
                assert failure.kind == "denied"
                assert f"cannot reach {name}:80" in failure.message
                assert asked[-1] == name

    asyncio.run(scenario())


NOWHERE = {
    "file:///etc/passwd": "redirects to where no request goes: the URL is of the scheme `file`",
    "ftp://127.0.0.1/": "the scheme `ftp`",
    "javascript:alert(1)": "redirects to where no request goes",
    "data:text/plain,x": "redirects to where no request goes",
    "http://user:hidden@127.0.0.1/": "a user or password",
    "http://0x7f.1/": "neither a name nor an address",
    "http://[::1/": "redirects to where no request goes",
    "http://h/%zz": "percent sign",
    "/a b": "it is no URL",
    "http://h\\@x/": "it is no URL",
    "/\t": "it is no URL",
}


@pytest.mark.parametrize("location", NOWHERE)
def test_where_no_redirect_leads(base: Path, location: str) -> None:
    async def scenario() -> None:
        where = redirect(location + "x" if location == "/\t" else location)
        async with serving([where]) as server, Web(base, ["net=*:*", server.grant]) as http:
            failure = await http.failure("http.get", server.url, follow=1)
            assert NOWHERE[location] in failure.message
            assert "hidden" not in str(failure)
            assert len(server.seen) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("follow", [1, 5])
def test_a_loop_ends(base: Path, follow: int) -> None:
    async def scenario() -> None:
        async with serving([redirect("/again")]) as server, Web(base, [server.grant]) as http:
            failure = await http.failure("http.get", server.url, follow=follow)
            assert f"more than {follow} time" in failure.message
            assert len(server.seen) == follow + 1
            assert http.asked == []

    asyncio.run(scenario())


def test_from_https_to_http_none_is_followed(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(base / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(base / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)

    async def scenario() -> None:
        async with (
            serving(reply(b"plain")) as plain,
            serving([redirect(plain.url), redirect("/here"), reply(b"safe")], tls) as safe,
            Web(base, [plain.grant, safe.grant]) as http,
        ):
            url = safe.url.replace("http:", "https:")
            failure = await http.failure("http.get", url, follow=1)
            assert "redirects from https to http" in failure.message
            assert plain.connections == 0
            assert (await http("http.get", url, follow=1))["text"] == "safe"

    asyncio.run(scenario())


def test_credentials_stay_with_their_origin(base: Path) -> None:
    headers = {
        "Authorization": ["Bearer ", Secret("TOKEN")],
        "Cookie": "a=b",
        "X-Api-Key": Secret("TOKEN"),
        "X-Plain": "kept",
    }

    async def scenario() -> None:
        async with serving(reply(b"other")) as other:
            replies = [redirect("/same"), redirect(other.url)]
            async with serving(replies) as first:
                grants = [first.grant, other.grant, f"secret=TOKEN@127.0.0.1:{first.port}"]
                async with Web(base, grants, secrets={"TOKEN": TOKEN}) as http:
                    answer = await http("http.get", first.url, headers=headers, query={"k": Secret("TOKEN")}, follow=2)
                    assert answer["text"] == "other"
                    for seen in first.seen:
                        assert seen.headers["authorization"] == f"Bearer {TOKEN}"
                        assert (seen.headers["cookie"], seen.headers["x-api-key"]) == ("a=b", TOKEN)
                    (seen,) = other.seen
                    assert TOKEN.encode() not in seen.head
                    assert seen.headers["x-plain"] == "kept"
                    assert not {"authorization", "cookie", "x-api-key"} & set(seen.headers)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "body", [{"json": {"k": [Secret("TOKEN")]}}, {"text": Secret("TOKEN")}, {"form": {"k": Secret("TOKEN")}}]
)
def test_a_body_with_a_secret_goes_nowhere_else(base: Path, body: dict[str, object]) -> None:
    async def scenario() -> None:
        async with serving(reply(b"other")) as other:
            replies = [redirect(other.url, 307), redirect("/same", 308), reply(b"same"), redirect(other.url, 303)]
            async with serving(replies) as first:
                grants = [first.grant, other.grant, f"secret=TOKEN@127.0.0.1:{first.port}"]
                async with Web(base, grants, secrets={"TOKEN": TOKEN}) as http:
                    failure = await http.failure("http.post", first.url, follow=2, **body)
                    assert "the body holds a secret that is not for it" in failure.message
                    assert other.connections == 0
                    assert (await http("http.post", first.url, follow=2, **body))["text"] == "same"
                    assert TOKEN.encode() in first.seen[-1].body
                    assert (await http("http.post", first.url, follow=2, **body))["text"] == "other"
                    assert other.seen[0].line == "GET / HTTP/1.1"
                    assert TOKEN.encode() not in other.seen[0].head + other.seen[0].body

    asyncio.run(scenario())
