"""Which addresses may be connected to.

A name says nothing about where a connection ends: whoever owns the name chooses the address, and may choose one of
this machine or of its network.  So what is granted by name reaches public addresses only, and others are opened by
address.  Some addresses of IPv6 are a wrapping of one of IPv4 (mapped, 6to4, NAT64, Teredo); what counts is where the
connection ends, which is the address inside.

The list of what is not public is our own, so that it is the same under every version of Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from flowmetal.errors import UsageError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
"""Where the name ``localhost`` leads."""

_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
_PUBLIC_V6: Final = IPv6Network("2000::/3")

_METADATA: Final = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
        "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254",
    )
)  # fmt: skip
"""Where clouds hand out credentials to whoever asks from within a machine."""

FINAL: Final = ("denied", "never allowed")
"""How a refusal ends that stands whatever is granted."""

_METADATA_WIDEST: Final = {4: 16, 6: 32}
"""The widest block, by its prefix length, that opens a metadata address: ``10.0.0.0/8`` or ``0.0.0.0/0`` was not
written with it in mind, ``169.254.0.0/16`` was."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = IPv6Network("64:ff9b:1::/48")
_TEREDO: Final = IPv6Network("2001::/32")


def parse_address(text: str) -> Address:
    """The address that ``text`` is, without brackets or a zone.

    Raises:
        UsageError: it is none.
    """
    try:
        if "%" in text:
            raise ValueError
        return ip_address(text)
    except ValueError:
        raise UsageError(f"`{text}` is not an IP address") from None


@lru_cache(maxsize=1024)
def parse_network(text: str) -> Network:
    """The block that a canonical text such as ``10.0.0.0/8`` is; trusted text only."""
    return ip_network(text)


def is_wrapped(address: Address) -> bool:
    """Whether an address is IPv4 within IPv6 and nothing else, such as ``::ffff:127.0.0.1``."""
    return isinstance(address, IPv6Address) and address in _MAPPED


def reached(address: Address) -> tuple[Address, ...]:
    """The addresses that a connection to ``address`` may end at, or pass: all of them must be allowed."""
    if isinstance(address, IPv4Address):
        return (address,)
    low = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _MAPPED or address in _NAT64:
        return (low,)
    if address in _SIX_TO_FOUR:
        return (IPv4Address(int(address) >> 80 & 0xFFFF_FFFF),)
    if address in _NAT64_LOCAL:
        return (address, low)
    if address in _TEREDO:
        return (address, IPv4Address(int(address) >> 64 & 0xFFFF_FFFF), IPv4Address(int(low) ^ 0xFFFF_FFFF))
    return (address,)


def is_public(address: Address) -> bool:
    """Whether everything that ``address`` reaches is an ordinary address of the internet."""
    return all(_is_public(each) for each in reached(address))


def holds(networks: Iterable[Network], address: Address) -> bool:
    """Whether one of ``networks`` holds ``address``."""
    return any(address.version == network.version and address in network for network in networks)


def refusal(address: Address, networks: Iterable[Network], denied: Iterable[Network]) -> str:
    """Why ``address`` may not be connected to, or "" when it may; ends with one of ``FINAL`` when no grant would help.

    Args:
        address: where the connection would go.
        networks: blocks that are granted.
        denied: blocks that are denied, which wins.
    """
    granted = tuple(networks)
    ends = reached(address)
    for network in denied:
        if any(holds((network,), each) for each in (address, *ends)):
            return f"{_shown(address, ends)} lies in {network}, which is {FINAL[0]}"
    for each in ends:
        if each.is_multicast or each.is_unspecified or each == IPv4Address("255.255.255.255"):
            return f"{_shown(address, ends)} is no address of one machine, which is {FINAL[1]}"
        if each in _METADATA:
            narrow = [block for block in granted if block.prefixlen >= _METADATA_WIDEST[block.version]]
            if not holds(narrow, each):
                return f"{_shown(address, ends)} is where a cloud hands out credentials"
        elif not _is_public(each) and not holds(granted, each):
            return f"{_shown(address, ends)} is not a public address"
    return ""


def common(one: Iterable[Network], other: Iterable[Network]) -> tuple[Network, ...]:
    """The blocks that both hold."""
    others = tuple(other)
    found = {
        first if first.prefixlen >= second.prefixlen else second
        for first in one
        for second in others
        if first.version == second.version and first.overlaps(second)
    }
    return tuple(sorted(found, key=_order))


def _order(network: Network) -> tuple[int, int, int]:
    return (network.version, int(network.network_address), network.prefixlen)


def _is_public(address: Address) -> bool:
    if address in _METADATA or holds(_NOT_PUBLIC, address):
        return False
    return isinstance(address, IPv4Address) or address in _PUBLIC_V6


def _shown(address: Address, ends: tuple[Address, ...]) -> str:
    return str(address) if ends == (address,) else f"{address} (which leads to {ends[-1]})"
