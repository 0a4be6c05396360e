"""Downloads: the file is there as a whole, or as it was; nothing else is left."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowmetal.actions.replacing import temporary_name
from flowmetal.settings import Limits
from tests.actions.desk import KEY
from tests.actions.web import OK, Seen, Web, details, redirect, reply, serving

DATA = os.urandom(700_000)


@pytest.fixture
def out(base: Path) -> Path:
    (base / "out").mkdir()
    return base / "out"


def test_a_body_goes_to_a_file(base: Path, out: Path) -> None:
    async def scenario() -> None:
        zipped = reply(gzip.compress(DATA), "200 OK", "Content-Encoding: gzip")
        replies = [reply(DATA), zipped, reply(b"")]
        async with serving(replies) as server, Web(base, [server.grant, "write=out"]) as http:
            for _ in range(2):
                answer = await http("http.get", server.url, save_to="out/file.bin")
                assert (out / "file.bin").read_bytes() == DATA
                assert answer["path"] == "out/file.bin"
                assert answer["bytes"] == len(DATA)
                assert answer["sha256"] == hashlib.sha256(DATA).hexdigest()
                assert (answer["text"], answer["json"]) == (None, None)
                assert os.listdir(out) == ["file.bin"]
            assert server.seen[0].headers["accept-encoding"] == "identity"
            (out / "file.bin").chmod(0o640)
            assert (await http("http.get", server.url, save_to="out/file.bin"))["bytes"] == 0
            assert (out / "file.bin").stat().st_mode & 0o777 == 0o640
            assert (out / "file.bin").read_bytes() == b""

    asyncio.run(scenario())


def test_a_file_is_more_than_a_value_may_be(base: Path, out: Path) -> None:
    size = 30_000_000

    async def stream(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + f"Content-Length: {size}\r\nContent-Type: application/json\r\n\r\n".encode())
        for _ in range(size // 100_000):
            writer.write(b"x" * 100_000)
            await writer.drain()

    async def scenario() -> None:
        async with serving(stream) as server, Web(base, [server.grant, "write=out"]) as http:
            answer = await http("http.get", server.url, save_to="out/file")
            assert answer["bytes"] == (out / "file").stat().st_size == size

    asyncio.run(scenario())


def test_a_file_needs_a_grant_too(base: Path, out: Path) -> None:
    async def scenario() -> None:
        async with serving(reply(DATA)) as server, Web(base, [server.grant]) as http:
            failure = await http.failure("http.get", server.url, save_to="out/file")
            assert failure.kind == "denied"
            assert f"writing {base}/out/file is not granted: add --allow write={base}/out" in failure.message
            http.allow = ["write=out"]
            assert (await http.failure("http.get", server.url, save_to="out/file")).kind == "denied"
            http.allow = [server.grant, "write=out"]
            (out / "link").symlink_to(base / "elsewhere")
            assert "leads out of the grant" in (await http.failure("http.get", server.url, save_to="out/link")).message
            assert server.connections == 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("out/no/file", "the directory {base}/out/no does not exist"),
        ("out/dir", "it is a directory"),
        ("out/pipe", "it is a pipe"),
        ("out/flowmetal.toml", "flowmetal.toml"),
        ("out/x/", "ends with a slash"),
        ("", "the path is empty"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_sent(base: Path, out: Path, path: str, words: str) -> None:
    (out / "dir").mkdir()
    os.mkfifo(out / "pipe")

    async def scenario() -> None:
        async with serving(reply(DATA)) as server, Web(base, [server.grant, "write=out"]) as http:
            failure = await http.failure("http.post", server.url, save_to=path)
            assert words.format(base=base) in failure.message
            assert server.connections == 0

    asyncio.run(scenario())


BAD: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "status": (reply(DATA, "404 Not Found"), {}, "404"),
    "redirect": (redirect("/b"), {}, "`follow = 5` follows redirects"),
    "short": (OK + b"Content-Length: 900000\r\n\r\n" + DATA, {}, "closed the connection"),
    "large": (reply(DATA * 2), {}, "more than 1,000,000 bytes"),
    "large, undeclared": (OK + b"\r\n" + DATA * 2, {}, "more than 1,000,000 bytes"),
    "bomb": (reply(gzip.compress(bytes(900_000)), "200 OK", "Content-Encoding: gzip"), {}, "100 times"),
    "bad gzip": (reply(gzip.compress(DATA)[:-4], "200 OK", "Content-Encoding: gzip"), {}, "stops in the middle"),
    "redirect away": (redirect("http://10.0.0.1/"), {"follow": 1}, "is not granted"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_failed_download_leaves_what_was_there(base: Path, out: Path, name: str) -> None:
    response, arguments, words = BAD[name]
    (out / "file").write_text("old")

    async def once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(response)
            await writer.drain()

    async def scenario() -> None:
        limits = Limits(http_download_bytes=1_000_000)
        async with serving(once) as server, Web(base, [server.grant, "write=out"], limits=limits) as http:
            failure = await http.failure("http.get", server.url, save_to="out/file", **arguments)
            assert words in failure.message
            assert os.listdir(out) == ["file"]
            assert (out / "file").read_text() == "old"

    asyncio.run(scenario())


def test_statuses_that_are_asked_for_are_saved_but_not_those_without_a_body(base: Path, out: Path) -> None:
    replies = [reply(b"gone", "410 Gone"), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n"]

    async def scenario() -> None:
        async with serving(replies) as server, Web(base, [server.grant, "write=out"]) as http:
            answer = await http("http.get", server.url, save_to="out/file", ok_status=[410])
            assert (answer["path"], (out / "file").read_text()) == ("out/file", "gone")
            answer = await http("http.get", server.url, save_to="out/file", ok_status=[304])
            assert (answer["status"], answer["path"], (out / "file").read_text()) == (304, None, "gone")

    asyncio.run(scenario())


def test_a_full_disk(base: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowmetal.actions import http_download

    def full(fd: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(http_download, "write_all", full)

    async def scenario() -> None:
        async with serving(reply(DATA * 20)) as server, Web(base, [server.grant, "write=out"]) as http:
            failure = await http.failure("http.post", server.url, save_to="out/file")
            assert failure.message == "http.post: cannot save to `out/file`: no space left on device"
            assert details(failure)["may_have_run"] is True
            assert os.listdir(out) == []

    asyncio.run(scenario())


def stuck(parts: list[bytes]) -> Callable[[Seen, asyncio.StreamWriter], Any]:
    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
        await seen.reader.read()

    return script


@pytest.mark.parametrize("save_to", ["out/file", None])
@pytest.mark.parametrize("parts", [[], [OK], [OK + b"Content-Length: 9000000\r\n\r\n", DATA]])
def test_what_is_cancelled_leaves_nothing(
    base: Path, out: Path, save_to: str | None, parts: list[bytes], open_files: Callable[[], int]
) -> None:
    (out / "file").write_text("old")

    async def scenario() -> None:
        async with serving(stuck(parts)) as server, Web(base, [server.grant, "write=out"], timeout_seconds=60) as http:
            before = open_files()
            for count in range(3):
                task = asyncio.create_task(http.wire("http.get", server.url, save_to=save_to))
                async with asyncio.timeout(20):
                    while len(server.seen) <= count:
                        await asyncio.sleep(0.01)
                    if save_to and len(parts) == 2:
                        while not (out / temporary_name(KEY)).exists():
                            await asyncio.sleep(0.01)
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    while server.open:
                        await asyncio.sleep(0.01)
                assert os.listdir(out) == ["file"]
                assert (out / "file").read_text() == "old"
            assert open_files() == before
            assert not [each for each in threading.enumerate() if each.name == "download"]

    asyncio.run(scenario())


def test_many_downloads_at_once(base: Path, out: Path) -> None:
    """The temporary file has the name of its action, so here each has a directory."""
    for number in range(40):
        (out / str(number)).mkdir()

    async def scenario() -> None:
        async with serving(reply(DATA)) as server, Web(base, [server.grant, "write=out"]) as http:
            await asyncio.gather(*(http("http.get", server.url, save_to=f"out/{n}/file") for n in range(40)))
            assert {(out / str(n) / "file").read_bytes() == DATA for n in range(40)} == {True}

    asyncio.run(scenario())
