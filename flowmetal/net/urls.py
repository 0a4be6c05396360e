"""URLs, read strictly and in one way only.

What is asked of the gate and what is connected to are the same ``Url``, so two readers can never disagree on where a
text leads.  What browsers repair (a backslash, a tab, a host in percent signs, ``0x7f.1``, a user before the host) is
refused: each of these has been a way past somebody's check.

No message holds the text of a URL, whose query may be confidential.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urljoin

from flowmetal.errors import UsageError
from flowmetal.net.late import ascii_name

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
"""The schemes there are, with the port of each."""

MAX_CHARACTERS: Final = 8_192
"""The longest URL."""

_FORM: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_MAX_NAME: Final = 253
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_ESCAPES: Final = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/%-]")
_QUERY_ESCAPES: Final = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")


@dataclass(frozen=True, slots=True)
class Url:
    """Where a request goes.

    ``host`` is a name in lower case without its trailing dot, or an address, IPv6 in brackets; ``path`` begins with a
    slash; ``query`` is without its question mark.  ``str`` leaves the query out and is fit for messages.
    """

    scheme: str
    host: str
    port: int
    path: str = "/"
    query: str = field(default="", repr=False)

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @property
    def text(self) -> str:
        """The whole URL."""
        return f"{self}?{self.query}" if self.query else str(self)

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def has_origin_of(self, other: Url) -> bool:
        """Whether scheme, host and port are the same."""
        return (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)


def parse_url(text: str) -> Url:
    """The URL that ``text`` is; letters that no URL has are percent-encoded, a fragment is dropped.

    Raises:
        UsageError: it is none, or one that is not to be trusted.
    """
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"the URL has {len(text):,} characters", remedy=f"at most {MAX_CHARACTERS:,} are allowed")
    for character in text:
        if character in " \\" or not (character.isprintable() or character.isalnum()):
            raise UsageError(f"the URL holds {_name(character)}", remedy="url_quote(text) writes it so that it may")
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError("the URL does not begin with http:// or https://")
    scheme = found[1].lower()
    if scheme not in DEFAULT_PORTS:
        raise UsageError(f"the URL is of the scheme `{scheme[:40]}`, and requests go to http and https")
    host, port = _authority(found[2], scheme)
    path = _escaped(found[3] or "/", _PATH_ESCAPES)
    return Url(scheme, host, port, path, _escaped(found[4] or "", _QUERY_ESCAPES))


def join(base: Url, location: str) -> Url:
    """Where ``location``, which may be relative, leads from ``base``.

    Raises:
        UsageError: as ``parse_url`` does.
    """
    if len(location) > MAX_CHARACTERS or not location.isprintable() or set(location) & {" ", "\\"}:
        raise UsageError("it is no URL")
    try:
        return parse_url(urljoin(base.text, location))
    except ValueError:
        raise UsageError("it is no URL") from None


def _authority(text: str, scheme: str) -> tuple[str, int]:
    if "@" in text:
        raise UsageError(
            "the URL has a user or password before its host", remedy="send them in the header Authorization"
        )
    if "%" in text:
        raise UsageError("the host of the URL has a percent sign in it, which no host has")
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UsageError("the host of the URL has `[` and no `]` after it")
        host, colon, port = _ipv6(inner), rest[:1], rest[1:]
    else:
        name, colon, port = text.partition(":")
        host = _host(name)
    if not colon:
        return host, DEFAULT_PORTS[scheme]
    if not _PORT.fullmatch(port) or int(port) > 65_535:
        raise UsageError("the port of the URL is not a number from 1 to 65535")
    return host, int(port)


def _ipv6(text: str) -> str:
    try:
        return f"[{IPv6Address(text)}]"
    except ValueError:
        raise UsageError("the host of the URL stands in brackets and is no address of IPv6") from None


def _host(text: str) -> str:
    if not text:
        raise UsageError("the URL names no host")
    name = text.lower()
    if not text.isascii():
        try:
            name = ascii_name(text)
        except ValueError:
            raise UsageError("the host of the URL is no name that a host can have") from None
    name = name.removesuffix(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(text)
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UsageError("the host of the URL is no name that a host can have")
    return name


def _ipv4(text: str) -> str:
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise UsageError(
            "the host of the URL is neither a name nor an address",
            remedy="an address has four decimal numbers: 127.0.0.1",
        ) from None


def _escaped(text: str, pattern: re.Pattern[str]) -> str:
    if _STRAY_PERCENT.search(text):
        raise UsageError("the URL has a percent sign that no two hexadecimal digits follow", remedy="write it as %25")
    return pattern.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8")), text)


def _name(character: str) -> str:
    names = {" ": "a space", "\\": "a backslash", "\r": "a line end", "\n": "a line end", "\0": "a NUL character"}
    return names.get(character, f"the character U+{ord(character):04X}")
