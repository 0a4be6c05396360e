from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.permissions import Allowed, Want, address_allowed, decide, net_resource, parse_grants


def words(text: str) -> list[str]:
    return text.split()


def leave(want: str, *grants: str, deny: tuple[str, ...] = ()) -> Allowed:
    decision = decide(parse_grants(grants, deny, "/"), Want("net", want, "http"))
    assert isinstance(decision, Allowed), decision.message
    return decision


@pytest.mark.parametrize(
    "address",
    words("""127.0.0.1 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.1.1 169.254.169.254 100.64.0.1
    100.100.100.200
    0.0.0.0 0.1.2.3 192.0.0.1 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
    240.0.0.1 255.255.255.255 168.63.129.16
    :: ::1 ::127.0.0.1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 2001::1 3fff::1 5f00::1 100::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8
    64:ff9b:1::7f00:1 2002:7f00:1:: 2002:a00:1::1 2002:a9fe:a9fe:: 2001:0:808:808::f7f7:f7f7"""),
)
def test_a_name_opens_public_addresses_only(address: str) -> None:
    reason = address_allowed(leave("evil.test:80/GET", "net=*"), address)
    assert reason.startswith("evil.test leads to ")


@pytest.mark.parametrize(
    "address",
    words("""8.8.8.8 1.1.1.1 172.32.0.1 172.15.255.255 192.167.255.255 100.128.0.1 223.255.255.255 2606:4700::1 2a00::1
    ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1"""),
)
def test_a_name_opens_public_addresses(address: str) -> None:
    assert address_allowed(leave("good.test:443/GET", "net=good.test"), address) == ""


def test_rebinding_is_told_with_the_block_to_add() -> None:
    # 59: public first, then private
    allowed = leave("evil.test:8080/GET", "net=evil.test:8080")
    assert address_allowed(allowed, "93.184.216.34") == ""
    assert address_allowed(allowed, "127.0.0.1") == (
        "evil.test leads to 127.0.0.1, which is not a public address: add --allow net=127.0.0.1:8080"
    ).replace(", which is", " is")
    opened = leave("evil.test:8080/GET", "net=evil.test:8080", "net=127.0.0.1:8080")
    assert address_allowed(opened, "127.0.0.1") == ""
    assert address_allowed(opened, "127.0.0.2") != ""
    assert address_allowed(opened, "::ffff:127.0.0.1") == ""
    assert "net='[::1]:8080'" in address_allowed(opened, "::1") or "'net=[::1]:8080'" in address_allowed(opened, "::1")


def test_the_name_localhost_opens_the_loopback_for_its_port() -> None:
    allowed = leave("localhost:8080/GET", "net=localhost:8080")
    assert address_allowed(allowed, "127.0.0.1") == address_allowed(allowed, "::1") == ""
    assert address_allowed(allowed, "10.0.0.1") != ""
    # not under another name, not through a pattern
    other = leave("evil.test:8080/GET", "net=localhost:8080", "net=evil.test:8080")
    assert address_allowed(other, "127.0.0.1") != ""
    assert address_allowed(leave("localhost:80/GET", "net=*"), "127.0.0.1") != ""
    assert address_allowed(leave("a.localhost:80/GET", "net=*.localhost"), "127.0.0.1") != ""
    denied = leave("evil.test:80/GET", "net=*", "net=127.0.0.0/8", deny=("net=localhost",))
    assert address_allowed(denied, "127.0.0.1").endswith("denied")


def test_a_denied_block_closes_public_addresses_too() -> None:
    allowed = leave("a.test:443/GET", "net=a.test", deny=("net=8.8.8.0/24",))
    for address in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"):
        assert address_allowed(allowed, address).endswith("which is denied")
    assert address_allowed(allowed, "8.8.9.8") == ""


def test_metadata_needs_a_block_that_was_written_for_it() -> None:
    wide = leave("m.test:80/GET", "net=m.test", "net=0.0.0.0/0", "net=[::]/0")
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"):
        assert "hands out credentials" in address_allowed(wide, address)
    narrow = leave("m.test:80/GET", "net=m.test", "net=169.254.169.254")
    assert address_allowed(narrow, "169.254.169.254") == ""


def test_what_no_grant_opens() -> None:
    wide = leave("m.test:80/GET", "net=m.test", "net=0.0.0.0/0", "net=[::]/0", "net=224.0.0.1", "net=0.0.0.0")
    for address in ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "::ffff:0.0.0.0"):
        reason = address_allowed(wide, address)
        assert reason.endswith("never allowed")


def test_a_host_called_denied_still_gets_its_advice() -> None:
    assert "add --allow net=10.0.0.1:80" in address_allowed(leave("denied:80/GET", "net=denied"), "10.0.0.1")


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "::1%lo", "[::1]", "1.2.3.4:80"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        address_allowed(leave("a.test:80/GET", "net=a.test"), text)


@given(st.ip_addresses())
def test_nothing_is_opened_that_python_knows_to_be_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address_allowed(leave("a.test:80/GET", "net=*"), str(address)) == "":
        wrapped = address.version == 6 and any(
            address in ipaddress.ip_network(block) for block in ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16")
        )
        assert wrapped or address.is_global


@given(st.ip_addresses(v=4))
def test_a_wrapping_changes_nothing(address: ipaddress.IPv4Address) -> None:
    allowed = leave("a.test:80/GET", "net=*", "net=10.0.0.0/8", deny=("net=10.1.0.0/16",))
    plain = address_allowed(allowed, str(address)) == ""
    low = int(address)
    for wrapped in (0xFFFF << 32 | low, 0x64FF9B << 96 | low, 0x2002 << 112 | low << 80):
        assert (address_allowed(allowed, str(ipaddress.IPv6Address(wrapped))) == "") == plain


def test_the_resource_of_a_request() -> None:
    assert net_resource("API.github.com.", 443, "get") == "api.github.com:443/GET"
    assert net_resource("[::0001]", 80, "GET") == "[::1]:80/GET"
    for host in ("127.1", "0x7f.1", "a b", "a\r\nb", "a/b", "*.x", "::1", ""):
        with pytest.raises(UsageError):
            net_resource(host, 80, "GET")
