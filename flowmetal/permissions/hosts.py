"""Hosts, ports and methods: how they are written, and their one canonical form.

    HOST[:PORT][/METHOD,METHOD]

HOST is a name, ``*.name``, ``*``, an address (``[…]`` around IPv6) or a block of addresses (``10.0.0.0/8``,
``[fd00::]/8``): a slash before digits is a prefix length, any other begins the methods.  Two spellings of one host
must never be two hosts, and what one reader takes for a name another must not take for an address: so names are
compared as lower-case A-labels, and a text that some resolver would read as a number, such as ``127.1``, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.permissions.networks import Address, Network, is_wrapped, parse_address

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""The HTTP methods there are."""

ANY_PORT: Final = 0
"""The port of a pattern that is for all ports: ``:*``."""

_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_MAX_NAME_BYTES: Final = 253
_MAX_TEXT: Final = 400


@dataclass(frozen=True, slots=True)
class Pattern:
    """A host pattern with port and methods; ``str`` gives its canonical text.

    ``name`` is a name, ``*.name``, ``*``, or "" for a ``network``; an address is the network of itself alone.
    ``port`` None means that none was written, ``methods`` () that all are meant.
    """

    name: str
    network: Network | None
    port: int | None
    methods: tuple[str, ...]

    def __str__(self) -> str:
        host = self.name if self.network is None else _network_text(self.network)
        port = "" if self.port is None else ":*" if self.port == ANY_PORT else f":{self.port}"
        return host + port + ("/" + ",".join(self.methods) if self.methods else "")


@dataclass(frozen=True, slots=True)
class Target:
    """What a connection is wanted to: ``name`` is the name, or the address as it is written in a URL."""

    name: str
    address: Address | None
    port: int
    method: str

    def __str__(self) -> str:
        return f"{self.name}:{self.port}" + (f"/{self.method}" if self.method else "")


def net_resource(host: str, port: int, method: str) -> str:
    """The resource of a want of class ``net``; ``host`` as it stands in a URL, IPv6 in brackets.

    Raises:
        UsageError: a host, port or method that is none.
    """
    return str(parse_target(f"{host}:{port}/{method}"))


@lru_cache(maxsize=8192)
def parse_pattern(text: str) -> Pattern:
    """The pattern that ``text`` is.

    Raises:
        UsageError: it is none; says why.
    """
    host, prefix, port, methods = _split(text)
    if host.startswith("[") or _ends_in_number(host) or prefix:
        network = _network(host, prefix)
        return Pattern("", network, _port(port), _methods(methods))
    if host == "*":
        return Pattern("*", None, _port(port), _methods(methods))
    star, below = ("*.", host[2:]) if host.startswith("*.") else ("", host)
    return Pattern(star + canonical_name(below), None, _port(port), _methods(methods))


@lru_cache(maxsize=8192)
def parse_target(text: str) -> Target:
    """The target that ``host:port/METHOD`` is; the method may be missing.

    Raises:
        UsageError: it is none; says why.
    """
    host, prefix, port, methods = _split(text)
    number = _port(port)
    names = _methods(methods)
    if prefix or "*" in host or not number or len(names) > 1:
        raise UsageError(f"`{text}` is not one host with one port and one method")
    method = names[0] if names else ""
    if host.startswith("[") or _ends_in_number(host):
        address = parse_address(host.strip("[]")) if host.startswith("[") else _ipv4(host)
        return Target(f"[{address}]" if address.version == 6 else str(address), address, number, method)
    return Target(canonical_name(host), None, number, method)


def canonical_name(name: str) -> str:
    """``name`` in lower case and without its trailing dot.

    Raises:
        UsageError: it is no host name.
    """
    if not name.isascii():
        raise UsageError(
            f"`{name}` is not in ASCII", remedy="write the name as it travels, each foreign label as xn--…"
        )
    name = name.lower()
    name = name.removesuffix(".")
    if "*" in name:
        raise UsageError(f"`{name}`: `*` stands for whole labels and only at the beginning", remedy="write *.NAME or *")
    if len(name) > _MAX_NAME_BYTES or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UsageError(f"`{name}` is not a host name")
    if _ends_in_number(name):
        raise UsageError(f"`{name}` is not a host name: it ends in a number")
    return name


def _split(text: str) -> tuple[str, str, str | None, str | None]:
    """Host, prefix length, port and methods as they are written."""
    if len(text) > _MAX_TEXT:
        raise UsageError(f"{text[:40]!r}… is too long for a host")
    if "://" in text:
        raise UsageError(f"`{text}` is a URL", remedy="write the host alone, with :PORT and /METHOD where they matter")
    for character, what in (("@", "a user"), ("%", "a percent sign"), ("\\", "a backslash")):
        if character in text:
            raise UsageError(f"`{text}` has {what} in it, which no host has")
    if not text.isprintable() or " " in text:
        raise UsageError(f"{text!r} has blanks or control characters in it")
    if text.startswith("["):
        inner, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise UsageError(f"`{text}` has `[` and no `]`")
        host = f"[{inner}]"
    else:
        end = min(at for at in (text.find(":"), text.find("/"), len(text)) if at >= 0)
        host, rest = text[:end], text[end:]
        if rest.count(":") > 1:
            raise UsageError(f"`{text}` is not a host", remedy="write [ ] around an address of IPv6: [::1]:8080")
    if not host:
        raise UsageError("no host is named")
    found = re.fullmatch(r"(?:/([0-9]+))?(?::([^/]*))?(?:/(.*))?", rest)
    if found is None:
        raise UsageError(f"`{text}` is not HOST[:PORT][/METHOD,METHOD]")
    return host, found[1] or "", found[2], found[3]


def _ends_in_number(host: str) -> bool:
    return _NUMBER.fullmatch(host.lower().removesuffix(".").rpartition(".")[2]) is not None


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise UsageError(
            f"`{text}` is neither a name nor an address", remedy="an address has four decimal numbers: 127.0.0.1"
        ) from None


def _network(host: str, prefix: str) -> Network:
    if not host.startswith("[") and not _ends_in_number(host):
        raise UsageError(f"`{host}` is not an address, and a prefix length is for addresses")
    address = parse_address(host.strip("[]")) if host.startswith("[") else _ipv4(host)
    if address.version == 4 and host.startswith("["):
        raise UsageError(f"`{host}` is IPv4 and needs no brackets")
    if is_wrapped(address):
        raise UsageError(f"`{host}` is an address of IPv4 in IPv6", remedy="write the address of IPv4")
    length = int(prefix[:4]) if prefix else address.max_prefixlen
    if length > address.max_prefixlen or (prefix and prefix != str(length)):
        raise UsageError(f"`/{prefix}` is not a prefix length of {address.max_prefixlen} bits at most")
    network = ip_network((address, length), strict=False)
    if network.network_address != address:
        raise UsageError(f"`{host}/{prefix}` names one address and a block", remedy=f"write {_network_text(network)}")
    return network


def _network_text(network: IPv4Network | IPv6Network) -> str:
    host = str(network.network_address) if network.version == 4 else f"[{network.network_address}]"
    return host if network.prefixlen == network.max_prefixlen else f"{host}/{network.prefixlen}"


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if text == "*":
        return ANY_PORT
    if not _PORT.fullmatch(text) or int(text) > 65_535:
        raise UsageError(f"`:{text}` is not a port", remedy="a port is a number from 1 to 65535, or `*` for all")
    return int(text)


def _methods(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = sorted({name.upper() for name in text.split(",")})
    for name in names:
        if name not in METHODS:
            raise UsageError(
                f"`{name}` is not an HTTP method{did_you_mean(name, METHODS)}", remedy=f"there are {', '.join(METHODS)}"
            )
    return tuple(names)
