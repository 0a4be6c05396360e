"""HTTP effects with servers that mean well: what is sent, and what an answer becomes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from flowmetal.actions.http_response import MAX_RETRY_AFTER_SECONDS, retry_after_seconds
from flowmetal.permissions import Want
from flowmetal.values import to_json_data
from tests.actions.desk import KEY
from tests.actions.web import OK, Secret, Seen, Web, details, redirect, reply, serving

JSON = "Content-Type: application/json"


def test_what_is_sent(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(b"hello", "200 OK", "X-A: 1", "x-a: 2")) as server, Web(base, [server.grant]) as http:
            answer = await http(
                "http.get",
                f"{server.url}/a/ä?x=%20#part",
                headers={"X-Mine": 5, "accept": "text/plain", "X-Not": None, "X-List": ["a", 1, True]},
                query={"q": "ä &=", "n": 2, "b": False, "none": None, "big": 10**30},
            )
            assert answer == {
                "status": 200,
                "headers": {"content-length": "5", "x-a": "1, 2"},
                "text": "hello",
                "json": None,
                "url": f"{server.url}/a/%C3%A4?x=%20&q=%C3%A4%20%26%3D&n=2&b=false&big={10**30}",
                "path": None,
                "bytes": 5,
                "sha256": None,
            }
            (seen,) = server.seen
            assert seen.line == f"GET /a/%C3%A4?x=%20&q=%C3%A4%20%26%3D&n=2&b=false&big={10**30} HTTP/1.1"
            own = {"x-mine": "5", "accept": "text/plain", "x-list": "a1true"}
            assert seen.headers == {
                "host": f"127.0.0.1:{server.port}",
                "user-agent": "flowmetal/0.1.0",
                "accept-encoding": "gzip, deflate",
                **own,
            }

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("arguments", "content_type", "body"),
    [
        ({"json": {"a": [1, 10**40, 0.5, None, True, "ü\n"]}}, "application/json", None),
        ({"json": 0}, "application/json", b"0"),
        ({"json": False}, "application/json", b"false"),
        ({"text": "ü\r\n"}, "text/plain; charset=utf-8", "ü\r\n".encode()),
        ({"text": ""}, "text/plain; charset=utf-8", b""),
        ({"form": {"a b": "ü+&", "n": 1, "no": None}}, "application/x-www-form-urlencoded", b"a+b=%C3%BC%2B%26&n=1"),
        ({"text": "<a/>", "headers": {"content-TYPE": "application/xml"}}, "application/xml", b"<a/>"),
        ({}, None, b""),
    ],
)
def test_bodies(base: Path, arguments: dict[str, Any], content_type: str | None, body: bytes | None) -> None:
    async def scenario() -> None:
        async with serving(reply()) as server, Web(base, [server.grant]) as http:
            for name in ("post", "put", "patch", "request"):
                method = ["DELETE"] if name == "request" else []
                await http(f"http.{name}", *method, server.url, **arguments)
                seen = server.seen[-1]
                assert seen.line == f"{(method or [name.upper()])[0]} / HTTP/1.1"
                assert seen.headers.get("content-type") == content_type
                assert seen.headers["idempotency-key"] == KEY
                if body is None:
                    assert json.loads(seen.body) == arguments["json"]
                else:
                    assert seen.body == body
            assert server.connections == 1, "the connection is kept"

    asyncio.run(scenario())


def test_the_idempotency_key_may_be_the_flows_own(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply()) as server, Web(base, [server.grant]) as http:
            await http("http.post", server.url, headers={"idempotency-key": "mine"})
            await http("http.get", server.url)
            await http("http.request", "head", server.url)
            assert [seen.headers.get("idempotency-key") for seen in server.seen] == ["mine", None, None]

    asyncio.run(scenario())


JSON_BODIES = {
    b'{"a": [1, -2.5, 123456789012345678901234567890, "\\u00fc", null, true]}': {
        "a": [1, -2.5, 123456789012345678901234567890, "ü", None, True]
    },
    b"\xef\xbb\xbf[1]": [1],
    b'{"a": 1, "a": 2}': {"a": 2},
    b'"\\ud83d\\ude00"': "\U0001f600",
    b"-0.0": -0.0,
    b"1e-400": 0.0,
    b"": None,
    b" \n": None,
    b"null": None,
    b"9" * 4096: int("9" * 4096),
    b"[" * 63 + b"]" * 63: json.loads("[" * 63 + "]" * 63),
}

NO_VALUES = {
    b"1e400": "too large for a float",
    b"[-1e400]": "too large for a float",
    b"9" * 4097: "4,097 digits",
    b"[" + b"9" * 1_000_000 + b"]": "1,000,000 digits",
    b'"\\ud800"': "surrogate",
    b'["\\udc00\\ud800"]': "surrogate",
    b"[" * 66 + b"]" * 66: "nested deeper than 64",
    b"[" * 1_000_000: "nested deeper than 64",
    b'{"a":' * 100_000: "nested deeper than 64",
    b"[" + b"0," * 120_000 + b"0]": "100,000 nodes",
    b'[{"a":1},]': "line 1 column 10",
    b"NaN": "NaN",
    b"[Infinity]": "infinity",
    b"{'a': 1}": "double quotes",
    b"<html>": "where a value was expected",
    b'{"a": 1} x': "end of the text",
    b'"a\nb"': "control character",
}


@pytest.mark.parametrize("content_type", ["application/json", "Application/Problem+JSON ; charset=utf-8"])
def test_json_is_a_value_or_an_err(base: Path, content_type: str) -> None:
    async def scenario() -> None:
        bodies = [*JSON_BODIES, *NO_VALUES]
        replies = [reply(body, "200 OK", f"Content-Type: {content_type}") for body in bodies]
        async with serving(replies) as server, Web(base, [server.grant]) as http:
            for body, value in JSON_BODIES.items():
                answer = await http.wire("http.get", server.url)
                fields = dict(zip(answer["struct"][::2], answer["struct"][1::2], strict=True))
                assert to_json_data(fields["json"]) == value, body[:40]
                assert fields["text"] == body.decode()
            for body, words in NO_VALUES.items():
                failure = await http.failure("http.get", server.url)
                assert words in failure.message, (body[:40], failure.message)
                assert "save_to" in failure.message
                assert details(failure)["status"] == 200

    asyncio.run(scenario())


def test_only_what_calls_itself_json_is_read_as_json(base: Path) -> None:
    kinds = ["text/plain", "application/jsonp", "text/x-json", "", "application/json-seq", "json", "a/json; x"]

    async def scenario() -> None:
        replies = [reply(b"[1]", "200 OK", f"Content-Type: {each}") for each in kinds]
        async with serving(replies) as server, Web(base, [server.grant]) as http:
            got = [(await http("http.get", server.url))["json"] for _ in kinds]
            assert got == [None] * 6 + [[1]]

    asyncio.run(scenario())


def test_what_is_no_text_and_what_fits_no_value(base: Path) -> None:
    long_text = b'["' + b"x" * 600_000 + b'"]'
    replies = [
        reply(b"\xff\xfe\0"),
        reply(b"x" * 1_100_000),
        reply(long_text, "200 OK", JSON),
        reply(long_text),
        reply(b"\xff" * 2_000_000),
    ]

    async def scenario() -> None:
        async with serving(replies) as server, Web(base, [server.grant]) as http:
            answer = await http("http.get", server.url)
            assert (answer["text"], answer["bytes"]) == (None, 3)
            failure = await http.failure("http.get", server.url)
            assert failure.kind == "limit"
            assert "1,100,000 bytes" in failure.message
            assert "save_to" in failure.message
            both = await http("http.get", server.url)
            assert (both["text"], len(both["json"][0])) == (None, 600_000)
            assert len((await http("http.get", server.url))["text"]) == len(long_text)
            assert (await http("http.get", server.url))["bytes"] == 2_000_000

    asyncio.run(scenario())


def test_a_refusal_is_an_err_with_its_reasons(base: Path) -> None:
    replies = [
        reply(b'{"error": "no such thing"}', "404 Nicht Da", JSON, "Retry-After: 7"),
        reply(b"\xc3\xa4" * 5_000, "500 \x1b[31mred"),
        reply(b"\xff\xff", "599 Odd"),
        reply(b" \r\n no\n \x1b[31mroom\x00 ", "507 Full"),
        reply(b"<html>" + b"x" * 500, "400 Bad Request"),
        reply(b"gone", "410 Gone"),
        reply(b"{bad", "400 Bad Request", JSON),
    ]

    async def scenario() -> None:
        async with serving(replies) as server, Web(base, [server.grant]) as http:
            failure = await http.failure("http.get", f"{server.url}/thing?key=hidden")
            assert failure.kind == "effect"
            assert failure.message == f"http.get: GET {server.url}/thing was answered by 404 Not Found: " + (
                '{"error": "no such thing"}'
            )
            about = details(failure)
            assert about["status"] == 404
            assert about["body"] == '{"error": "no such thing"}'
            assert about["headers"]["content-type"] == "application/json"
            assert about["retry_after_seconds"] == 7.0
            assert "hidden" not in str(failure)
            assert details(await http.failure("http.get", server.url))["body"] == "ä" * 2_000 + "…"
            assert details(await http.failure("http.get", server.url))["body"] is None
            failure = await http.failure("http.get", server.url)
            assert failure.message.endswith("by 507 Insufficient Storage: no \\x1b[31mroom\\x00")
            assert (await http.failure("http.get", server.url)).message.endswith("by 400 Bad Request")
            answer = await http("http.get", server.url, ok_status=[404, 410])
            assert (answer["status"], answer["text"]) == (410, "gone")
            assert details(await http.failure("http.get", server.url))["body"] == "{bad"

    asyncio.run(scenario())


NOW = 784_111_777.0
"""The moment of the example in RFC 9110."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("999999999999", MAX_RETRY_AFTER_SECONDS),
        ("9" * 90, MAX_RETRY_AFTER_SECONDS),
        ("9" * 5000, None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sun, 06 Nov 1994 08:48:37 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_RETRY_AFTER_SECONDS),
        ("Sun, 06 Nov 1994 08:49:37 +0200", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nox 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    assert retry_after_seconds(text, NOW) == seconds


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"headers": {"A B": "x"}}, "`A B` is not the name of a header"),
    ({"headers": {"A\r\nB": "x"}}, "`A\\r\\nB` is not the name of a header"),
    ({"headers": {"": "x"}}, "is not the name of a header"),
    ({"headers": {"A:": "x"}}, "is not the name of a header"),
    ({"headers": {"Ä": "x"}}, "is not the name of a header"),
    ({"headers": {"X": "a\r\nB: c"}}, "X holds a line end"),
    ({"headers": {"X": "a\nb"}}, "X holds a line end"),
    ({"headers": {"X": "a\0"}}, "X holds a line end"),
    ({"headers": {"X": ["a", "\r", "b"]}}, "X holds a line end"),
    ({"headers": {"X": "ä"}}, "another character"),
    ({"headers": {"X": {"a": 1}}}, "not a value of type dict"),
    ({"headers": {1: "a"}}, "the names in `headers` are texts"),
    ({"headers": {"X": "1", "x": "2"}}, "x is given twice"),
    ({"headers": {f"X-{n}": "1" for n in range(101)}}, "more than 100"),
    ({"headers": {"X": "a" * 33_000}}, "32,768 bytes"),
    ({"query": {"a": [[{"b": 1}]]}}, "a part of `a` in `query`"),
    ({"query": {"a": "b" * 9_000}}, "8,192 characters"),
    ({"json": 1, "text": "a"}, "`json` and `text` are both given"),
    ({"form": {"a": "b"}, "text": "a"}, "`text` and `form` are both given"),
    ({"json": {1: 2}}, "keys of JSON are strings"),
    ({"json": float("nan")}, "is nan, which JSON cannot say"),
    ({"text": {"a": "b"}}, "`text` is a text"),
    ({"text": "ü" * 600_000}, "1,200,000 bytes"),
    ({"ok_status": [99]}, "`ok_status` is a list of status numbers"),
    ({"ok_status": ["404"]}, "`ok_status` is a list of status numbers"),
    ({"follow": 6}, "from 0 to 5"),
    ({"follow": -1}, "from 0 to 5"),
]
WRONG += [
    ({"headers": {name: "x"}}, "is not yours to set")
    for name in (
        "Host", "hOST", "Content-Length", "Transfer-Encoding", "Connection", "Proxy-Authorization", "proxy-x",
        "Upgrade", "TE", "Trailer", "Keep-Alive", "Expect", "Accept-Encoding",
    )
]  # fmt: skip


def test_what_makes_no_request(base: Path) -> None:
    async def scenario() -> None:
        async with serving(reply()) as server, Web(base, [server.grant]) as http:
            for arguments, words in WRONG:
                failure = await http.failure("http.post", server.url, **arguments)
                assert failure.kind == "error", arguments
                assert words in failure.message, (arguments, failure.message)
                assert failure.message.startswith("http.post: ")
            for method, words in (("GTE", "did you mean `GET`"), ("GET\r\n", "is not an HTTP"), ("CONNECT", "is not")):
                failure = await http.failure("http.request", method, server.url)
                assert words in failure.message
                assert failure.kind == "error"
            assert "no body" in (await http.failure("http.request", "HEAD", server.url, text="x")).message
            assert server.connections == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("grants", "words"),
    [
        ([], "GET 127.0.0.1:PORT is not granted: add --allow net=127.0.0.1:PORT/GET"),
        (["net=127.0.0.1:1"], "is for port 1"),
        (["net=127.0.0.1"], "is for port 443 and 80"),
        (["net=127.0.0.1:PORT/POST"], "is for POST"),
        (["net=localhost:PORT"], "is not granted"),
        (["net=*:PORT"], "is for public addresses only"),
        (["net=127.0.0.2:PORT"], "is not granted"),
    ],
)
def test_grants_are_for_hosts_ports_and_methods(base: Path, grants: list[str], words: str) -> None:
    async def scenario() -> None:
        async with serving(reply()) as server:
            port = str(server.port)
            async with Web(base, [each.replace("PORT", port) for each in grants]) as http:
                failure = await http.failure("http.get", server.url)
                assert failure.kind == "denied"
                assert words.replace("PORT", port) in failure.message
            async with Web(base, [server.grant], ["net=127.0.0.0/8"]) as http:
                assert "is denied" in (await http.failure("http.get", server.url)).message
            assert server.connections == 0

    asyncio.run(scenario())


def test_what_a_call_wants_needs_no_library(base: Path) -> None:
    from flowmetal.actions import STANDARD, EffectContext

    effect, bound = STANDARD.bind(
        "http.put", ["https://API.example./x"], {"save_to": "out", "headers": {"dict": ["A", {"secret": ["K", "0"]}]}}
    )
    assert effect.want(bound, EffectContext(KEY, "/base", "put")) == [
        Want("net", "api.example:443/PUT", "put"),
        Want("write", "/base/out", "put"),
        Want("secret", "K@api.example:443", "put"),
    ]


def test_a_call_that_is_wrong_is_told_before_a_grant_is_asked_for(base: Path) -> None:
    async def scenario() -> None:
        async with Web(base) as http:
            for arguments in ({"headers": {"Host": "x"}}, {"query": {"a": {"b": 1}}}, {"headers": {1: Secret("A")}}):
                assert (await http.failure("http.get", "http://h.example/", **arguments)).kind == "error"
            headers = {"Authorization": ["Bearer ", Secret("A")], "X": Secret("A")}
            assert (await http.failure("http.get", "http://h.example/", headers=headers)).kind == "denied"

    asyncio.run(scenario())


def test_methods_without_bodies(base: Path) -> None:
    replies = [
        OK + b"Content-Length: 500\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\nETag: x\r\n\r\n",
        redirect("/elsewhere"),
    ]

    async def scenario() -> None:
        async with serving(replies) as server, Web(base, [server.grant]) as http:
            head = await http("http.request", "HEAD", server.url)
            assert (head["headers"]["content-length"], head["text"], head["bytes"]) == ("500", "", 0)
            assert (await http("http.delete", server.url))["status"] == 204
            assert (await http("http.get", server.url))["headers"]["etag"] == "x"
            assert (await http("http.get", server.url))["headers"]["location"] == "/elsewhere"

    asyncio.run(scenario())


def test_proxies_netrc_and_cookies_are_of_no_account(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / ".netrc").write_text("machine 127.0.0.1 login me password hidden\n")
    (base / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(base))
    monkeypatch.setenv("NETRC", str(base / ".netrc"))

    async def scenario() -> None:
        async with (
            serving(reply(b"", "200 OK", "Set-Cookie: a=b; Path=/")) as server,
            serving(reply(b"", "500 Proxy")) as proxy,
            Web(base, [server.grant]) as http,
        ):
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
                monkeypatch.setenv(name, proxy.url)
            for _ in range(2):
                assert (await http("http.get", server.url))["headers"]["set-cookie"] == "a=b; Path=/"
            assert proxy.connections == 0
            for seen in server.seen:
                assert not {"cookie", "authorization"} & set(seen.headers)

    asyncio.run(scenario())


def test_waiting_for_a_turn_is_not_the_servers_time(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowmetal.actions import http_perform
    from flowmetal.net.client import MAX_PER_PLACE

    monkeypatch.setattr(http_perform, "DEFAULT_SECONDS", 12.0)
    going: list[int] = [0, 0]

    async def slow(seen: Seen, writer: Any) -> None:
        going[0] += 1
        going[1] = max(going)
        await asyncio.sleep(3)
        going[0] -= 1
        writer.write(reply())

    async def scenario() -> None:
        async with serving(slow) as server, Web(base, [server.grant]) as http:
            await asyncio.gather(*(http("http.get", server.url) for _ in range(5 * MAX_PER_PLACE)))
            assert going[1] == MAX_PER_PLACE

    asyncio.run(scenario())


def test_many_at_once_share_connections(base: Path) -> None:
    async def answer(seen: Seen, writer: Any) -> None:
        await asyncio.sleep(0)
        writer.write(reply(seen.line.encode(), "200 OK", "Connection: close"))

    async def scenario() -> None:
        async with serving(answer) as server, Web(base, [server.grant]) as http:
            got = await asyncio.gather(*(http("http.get", f"{server.url}/{n}") for n in range(100)))
            assert [each["text"] for each in got] == [f"GET /{n} HTTP/1.1" for n in range(100)]

    asyncio.run(scenario())
