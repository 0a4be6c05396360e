"""Packages from web servers: by https with an authority of one's own, and nothing that must not be followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme

from flowmetal.errors import NotCachedError, PackageError, UnreachableError
from flowmetal.net.client import Client
from flowmetal.packages import fetching
from flowmetal.packages.fetching import HttpFetch
from flowmetal.packages.late import Conduct
from flowmetal.packages.layout import base_path
from flowmetal.packages.origins import Origins
from tests.packages.registry import DEPLOY, NOTIFY, Person, put, versions
from tests.packages.sites import Answer, Site, send, site

LIMIT = 1_000


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def https(tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with site(tmp_path / "registry", authority) as served:
        yield served


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "registry") as served:
        yield served


def test_by_https_once_and_then_from_the_cache(https: Site, tmp_path: Path) -> None:
    put(https.root, NOTIFY, "1.0.0")
    put(https.root, DEPLOY, "1.0.0", {NOTIFY: "1.0.0"})
    person = Person(tmp_path / "person")
    person.requires({DEPLOY: "1.0.0"}, https.url)
    assert versions(person.load()) == {"v1/deploy": "1.0.0", "v1/notify": "1.0.0"}
    assert len(https.seen) == len(set(https.seen)) == 6  # of both an index, a document and an archive
    assert not [each for each in https.headers if "Authorization" in each or each["Accept-Encoding"] != "identity"]
    for conduct in (Conduct(), Conduct(offline=True), Conduct(frozen=True)):
        person.load(conduct=conduct)
    assert len(https.seen) == 6
    # Another, who has the lock, needs no index.
    other = Person(tmp_path / "other", Conduct(frozen=True))
    other.project.mkdir(parents=True)
    for name in ("flowmetal.toml", "flowmetal.lock"):
        (other.project / name).write_bytes((person.project / name).read_bytes())
    with pytest.raises(NotCachedError, match="is not on this machine"):
        other.load(conduct=Conduct(frozen=True, offline=True))
    other.load()
    assert not [path for path in https.seen[6:] if path.endswith("index.json")]
    assert len(https.seen) == 10


def test_an_index_is_asked_for_again_and_need_not_be_sent(https: Site, tmp_path: Path) -> None:
    put(https.root, DEPLOY, "1.0.0")
    put(https.root, DEPLOY, "1.1.0")
    person = Person(tmp_path / "person")
    for least in ("1.0.0", "1.1.0"):
        person.requires({DEPLOY: least}, https.url)
        assert versions(person.load()) == {"v1/deploy": least}
    assert https.headers[3]["If-None-Match"].startswith('"')


def test_a_host_is_its_own_registry(http: Site, tmp_path: Path) -> None:
    package = f"{http.host}/v1/deploy"
    put(http.root, package, "1.0.0")
    http.root /= base_path(package).partition("/")[0]
    person = Person(tmp_path / "person")
    person.requires({package: "1.0.0"})
    assert person.load(package).members[package].version == "1.0.0"


def test_hosts_of_repositories_have_their_raw_files_read() -> None:
    base_of = Origins((), None, None).base_of
    raw = "https://raw.githubusercontent.com/someone/flows/HEAD/"
    assert base_of("github.com/someone/flows/dist/v1/deploy").url == f"{raw}dist/v1/deploy/"
    assert base_of("github.com/someone/flows").url == raw
    assert base_of("gitlab.com/a/b/v1").url == "https://gitlab.com/a/b/-/raw/HEAD/v1/"
    assert base_of("github.com/someone").url == "https://github.com/someone/"
    assert base_of("pkg.example.org/v1/x").url == "https://pkg.example.org/v1/x/"


def redirect(where: str, status: int = 302) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        send(handler, status, Location=where)
        return True

    return answer


def to_the_end(head: bytes, body: bytes, times: int) -> Answer:
    """Sends raw bytes, and a piece again and again until nobody listens."""

    def answer(handler: BaseHTTPRequestHandler) -> bool:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + head + (b"\r\n" if head else b""))
        for _ in range(times):
            handler.wfile.write(body)
        return True

    return answer


def plain(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        send(handler, status, body, **headers)
        return True

    return answer


ANSWERS: dict[str, tuple[Answer, type[Exception], str]] = {
    "redirect to http": (redirect("http://example.org/x"), UnreachableError, "which is for this machine only"),
    "redirect to metadata": (redirect("https://169.254.169.254/x"), UnreachableError, "credentials"),
    "redirect to a private network": (redirect("https://10.0.0.1/x"), UnreachableError, "not a public address"),
    "redirect to this machine": (redirect("https://[::ffff:127.0.0.1]/"), UnreachableError, "not a public address"),
    "redirect to a file": (redirect("file:///etc/passwd"), UnreachableError, "no URL"),
    "redirect to a user": (redirect("https://a:b@example.org/"), UnreachableError, "no URL"),
    "redirect nowhere": (redirect(""), UnreachableError, ""),
    "redirect in a circle": (redirect("/again"), UnreachableError, "redirects more than 5 times"),
    "an error": (plain(500, b"no"), UnreachableError, "answered 500"),
    "not modified": (plain(304), UnreachableError, "answered 304"),
    "a gzipped body": (plain(200, b"x", Content_Encoding="gzip"), PackageError, "encoded"),
    "a declared size": (to_the_end(b"Content-Length: 99999999\r\n", b"x", 1), PackageError, "more than 1,000 bytes"),
    "an endless body": (to_the_end(b"Connection: close\r\n", b"x" * 65_536, 10_000), PackageError, "more than 1,000"),
    "an endless chunked body": (
        to_the_end(b"Transfer-Encoding: chunked\r\n", b"1000\r\n" + b"x" * 0x1000 + b"\r\n", 10_000),
        PackageError,
        "more than 1,000",
    ),
    "a short body": (to_the_end(b"Content-Length: 500\r\n", b"x", 1), UnreachableError, "closed the connection"),
    "endless headers": (to_the_end(b"", b"X: y\r\n" * 1_000, 1_000), UnreachableError, "headers"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_that_are_none(http: Site, case: str) -> None:
    http.answer, error, says = ANSWERS[case]

    async def fetch() -> None:
        fetcher = HttpFetch()
        try:
            await fetcher(f"{http.url}/x", LIMIT, is_trusted=True)
        finally:
            await fetcher.close()

    with pytest.raises(error) as caught:
        asyncio.run(fetch())
    assert says in str(caught.value)


def test_a_body_that_does_not_end_in_time(http: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TOTAL_SECONDS", 0.3)
    http.answer = to_the_end(b"Content-Length: 500\r\n", b"x", 0)
    with pytest.raises(UnreachableError):
        asyncio.run(_once(HttpFetch, f"{http.url}/x"))


def test_a_name_that_a_stranger_wrote_leads_to_public_addresses_only(https: Site) -> None:
    async def lookup(name: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    def make() -> HttpFetch:
        return HttpFetch(Client(lookup))

    with pytest.raises(UnreachableError, match="not a public address") as caught:
        asyncio.run(_once(make, f"https://pkg.example.org:{https.port}/x"))
    assert "[[registry]] that you configure" in caught.value.remedy
    with pytest.raises(UnreachableError, match="for this machine only"):
        asyncio.run(_once(make, "http://pkg.example.org/x"))
    assert https.seen == []


async def _once(make: Callable[[], HttpFetch], url: str) -> None:
    fetcher = make()
    try:
        await fetcher(url, LIMIT, is_trusted=False)
    finally:
        await fetcher.close()
