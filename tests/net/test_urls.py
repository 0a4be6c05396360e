"""URLs: every spelling has one meaning, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.net.urls import MAX_CHARACTERS, Url, join, parse_url
from flowmetal.permissions.hosts import net_resource, parse_target

READ = {
    "http://example.org": "http://example.org/",
    "HTTP://EXAMPLE.org:80/": "http://example.org/",
    "https://example.org:443/a?b#c": "https://example.org/a?b",
    "https://example.org:8443/a/../b": "https://example.org:8443/a/../b",
    "http://example.org./": "http://example.org/",
    "http://localhost.:8080/": "http://localhost:8080/",
    "http://127.0.0.1:8080/?x=1&y[]=2": "http://127.0.0.1:8080/?x=1&y%5B%5D=2",
    "http://[::1]/": "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]:81/": "http://[::1]:81/",
    "http://[2001:DB8::A]/": "http://[2001:db8::a]/",
    "http://bücher.example/": "http://xn--bcher-kva.example/",
    "http://BÜCHER。example/": "http://xn--bcher-kva.example/",
    "http://xn--bcher-kva.example/": "http://xn--bcher-kva.example/",
    "http://a_b.example/": "http://a_b.example/",
    'http://h/ä/%2e%2E/{x}|<>^`"': "http://h/%C3%A4/%2e%2E/%7Bx%7D%7C%3C%3E%5E%60%22",
    "http://h?q=ä&at=@:/?": "http://h/?q=%C3%A4&at=@:/?",
    "http://h/@user": "http://h/@user",
}

REFUSED = {
    "": "does not begin",
    "example.org": "does not begin",
    "//example.org/": "does not begin",
    "http:/example.org": "does not begin",
    "http:example.org": "does not begin",
    "file:///etc/passwd": "scheme `file`",
    "ftp://example.org/": "scheme `ftp`",
    "javascript:alert(1)": "does not begin",
    "http://": "no host",
    "http:///x": "no host",
    "http://.": "no name",
    "http://a..b/": "no name",
    "http://-a/": "no name",
    "http://user@example.org/": "a user",
    "http://user:hidden@example.org/": "a user",
    "http://example.org@evil.example/": "a user",
    "http://example.org\\@evil.example/": "a backslash",
    "http://example.org\\.evil.example/": "a backslash",
    "http://exa mple.org/": "a space",
    "http://example.org/a b": "a space",
    " http://example.org/": "a space",
    "http://example.org/\r\nX: y": "a line end",
    "http://example.org/\tx": "U+0009",
    "http://example.org/\0": "NUL",
    "http://example.org/\x7f": "U+007F",
    "http://example.org/\u202e": "U+202E",
    "http://example.org/\ud800": "U+D800",
    "http://ex%61mple.org/": "percent",
    "http://127.0.0.1%2f@x/": "a user",
    "http://[fe80::1%25eth0]/": "percent",
    "http://[fe80::1%eth0]/": "percent",
    "http://[::1": "no `]`",
    "http://[::1]x/": "no `]`",
    "http://[127.0.0.1]/": "no address of IPv6",
    "http://[v1.x]/": "no address of IPv6",
    "http://::1/": "no host",
    "http://2130706433/": "four decimal numbers",
    "http://0x7f000001/": "four decimal numbers",
    "http://0x7f.1/": "four decimal numbers",
    "http://0177.0.0.1/": "four decimal numbers",
    "http://127.1/": "four decimal numbers",
    "http://127.0.0.1./": "four decimal numbers",
    "http://127.0.0.01/": "four decimal numbers",
    "http://127.0.0.256/": "four decimal numbers",
    "http://１２７.0.0.1/": "four decimal numbers",
    "http://127。0。0。1/": "four decimal numbers",
    "http://①②⑦.0.0.1/": "four decimal numbers",
    "http://evil.example.1/": "four decimal numbers",
    "http://evil.0x/": "four decimal numbers",
    "http://ⅰ\u200d\u200d.example/": "U+200D",
    "http://h:0/": "port",
    "http://h:/": "port",
    "http://h:65536/": "port",
    "http://h:080/": "port",
    "http://h:８０/": "port",
    "http://h:80:80/": "port",
    "http://h/%": "percent sign",
    "http://h/%zz": "percent sign",
    "http://h/?%1": "percent sign",
    "http://" + "a" * 64 + "/": "no name",
    "http://" + "a." * 127 + "a/": "no name",
    "http://h/" + "a" * MAX_CHARACTERS: "characters",
}


@pytest.mark.parametrize("text", READ)
def test_a_url_has_one_form(text: str) -> None:
    url = parse_url(text)
    assert url.text == READ[text]
    assert parse_url(url.text) == url


@pytest.mark.parametrize("text", REFUSED)
def test_a_url_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_url(text)
    said = f"{caught.value.message} {caught.value.remedy}"
    assert REFUSED[text] in said
    assert said.isprintable()
    assert "hidden" not in said
    assert len(said) < 200


@given(st.text(min_size=1, max_size=30), st.sampled_from(["", ":1", ":443", "/x", "?a=b", "#"]))
def test_what_is_read_is_what_the_gate_reads(host: str, rest: str) -> None:
    """Whatever stands where the host stands: the gate sees the very host that is connected to."""
    try:
        url = parse_url(f"https://{host}{rest}")
    except UsageError:
        return
    target = parse_target(net_resource(url.host, url.port, "GET"))
    assert (target.name, target.port) == (url.host, url.port)
    assert url.text.isascii()
    assert url.text.isprintable()


@pytest.mark.parametrize(
    ("location", "led"),
    {
        "/b": "https://h.example:8443/b",
        "c?d=1": "https://h.example:8443/a/c?d=1",
        "../c": "https://h.example:8443/c",
        "?d": "https://h.example:8443/a/b?d",
        "//other.example/x": "https://other.example/x",
        "http://other.example": "http://other.example/",
        "https:/x": "https://h.example:8443/x",
        "#part": "https://h.example:8443/a/b?q",
        "file:///etc/passwd": None,
        "gopher://h/": None,
        "javascript:x": None,
        "//user@h/": None,
        "/a b": None,
        "/a\\b": None,
        "//[::1": None,
        "//0x7f.1/": None,
        "x" * (MAX_CHARACTERS + 1): None,
    }.items(),
)
def test_where_a_location_leads(location: str, led: str | None) -> None:
    base = parse_url("https://h.example:8443/a/b?q")
    if led is None:
        with pytest.raises(UsageError):
            join(base, location)
    else:
        assert join(base, location).text == led


def test_neither_text_nor_repr_shows_a_query() -> None:
    url = Url("https", "h.example", 443, "/p", "token=hidden")
    assert "hidden" not in f"{url} {url!r}"
    assert url.place == "h.example:443"
