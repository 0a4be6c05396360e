"""Whether one grant is about one want; the same for what is allowed and what is denied, but for what is not written.

A grant that allows is read narrowly: ``net`` without a port is for 443 and 80, ``secret`` for 443.  One that denies is
read widely: without a port it is for all.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final

from flowmetal.permissions.grants import Grant
from flowmetal.permissions.hosts import ANY_PORT, Pattern, Target, parse_pattern
from flowmetal.permissions.networks import LOOPBACK, Network, holds, is_public, parse_network, reached
from flowmetal.permissions.paths import contains
from flowmetal.permissions.vocabulary import ANY, PATH_EFFECTS, divide_digest, divide_secret
from flowmetal.permissions.wants import Want, target_of

DEFAULT_PORTS: Final = {"net": (443, 80), "secret": (443,)}
"""The ports that are granted when none is written."""


def allows(grant: Grant, want: Want, *, fold: bool) -> bool:
    """Whether ``grant``, which allows, is about ``want``; of an address: about its port and method, and about it."""
    if grant.effect != want.effect:
        return False
    if want.effect in PATH_EFFECTS:
        return any(contains(path, want.resource, fold=fold) for path in (grant.resource, grant.named))
    if want.effect == "net":
        pattern, target = parse_pattern(grant.resource), target_of(want)
        return fits_port(pattern, target, "net") and fits_method(pattern, target) and fits_host(pattern, target)
    if want.effect == "secret":
        return _secret_fits(grant, want, denying=False)
    return _names(grant, want)


def denies(grant: Grant, want: Want, *, fold: bool) -> bool:
    """Whether ``grant``, which denies, is about ``want``."""
    if grant.effect != want.effect:
        return False
    if want.effect == "net":
        pattern, target = parse_pattern(grant.resource), target_of(want)
        return _denies_place(pattern, target) and (
            pattern.name == ANY or fits_host(pattern, target) or _denies_address(pattern, target)
        )
    if want.effect == "secret":
        return _secret_fits(grant, want, denying=True)
    if want.effect == "exec" and "/" not in grant.named and grant.named == posixpath.basename(want.resource):
        return True
    return allows(grant, want, fold=fold)


def fits_port(pattern: Pattern, target: Target, effect: str) -> bool:
    """Whether a pattern that allows is for the port."""
    if pattern.port is None:
        return target.port in DEFAULT_PORTS[effect]
    return pattern.port in (ANY_PORT, target.port)


def fits_method(pattern: Pattern, target: Target) -> bool:
    """Whether a pattern that allows is for the method."""
    return not pattern.methods or target.method in pattern.methods


def fits_host(pattern: Pattern, target: Target) -> bool:
    """Whether a pattern is for the host; ``*`` is for every name and every public address."""
    if pattern.network is not None:
        return target.address is not None and any(holds((pattern.network,), end) for end in reached(target.address))
    if pattern.name == ANY:
        return target.address is None or is_public(target.address)
    if target.address is not None:
        return False
    if pattern.name.startswith("*."):
        return target.name.endswith(pattern.name[1:]) and target.name != pattern.name[2:]
    return pattern.name == target.name


def networks_granted(grants: Iterable[Grant], target: Target) -> tuple[Network, ...]:
    """The blocks of addresses that are open for the port and method of ``target``.

    The exact name ``localhost`` opens the loopback addresses to that name and to no other.
    """
    found: list[Network] = []
    for grant in grants:
        if grant.effect != "net":
            continue
        pattern = parse_pattern(grant.resource)
        if not (fits_port(pattern, target, "net") and fits_method(pattern, target)):
            continue
        if pattern.network is not None:
            found.append(pattern.network)
        elif pattern.name == target.name == "localhost":
            found += map(parse_network, LOOPBACK)
    return tuple(dict.fromkeys(found))


def networks_denied(grants: Iterable[Grant], target: Target) -> tuple[Network, ...]:
    """The blocks of addresses that are denied for the port and method of ``target``."""
    found: list[Network] = []
    for grant in grants:
        if grant.effect != "net":
            continue
        pattern = parse_pattern(grant.resource)
        if _denies_place(pattern, target):
            if pattern.network is not None:
                found.append(pattern.network)
            elif pattern.name == "localhost":
                found += map(parse_network, LOOPBACK)
    return tuple(dict.fromkeys(found))


def _denies_place(pattern: Pattern, target: Target) -> bool:
    port = pattern.port in (None, ANY_PORT, target.port)
    return port and (not pattern.methods or not target.method or target.method in pattern.methods)


def _denies_address(pattern: Pattern, target: Target) -> bool:
    blocks: tuple[Network, ...] = (pattern.network,) if pattern.network is not None else ()
    if pattern.name == "localhost":
        blocks = tuple(map(parse_network, LOOPBACK))
    return target.address is not None and any(
        holds(blocks, each) for each in (target.address, *reached(target.address))
    )


def _names(grant: Grant, want: Want) -> bool:
    resource = divide_digest(grant.resource)[0] if want.effect == "exec" else grant.resource
    if ANY in (resource, grant.named) or want.resource in (resource, grant.named):
        return True
    if want.effect == "signal":
        # A run is all that it started, as a directory is all that lies in it.
        return fits_glob(resource, want.resource) or fits_glob(f"{resource}.*", want.resource)
    if want.effect == "state":
        return fits_glob(resource, want.resource)
    if want.effect == "call":
        return _module_holds(resource, want.resource.partition(":")[0])
    return False


def fits_glob(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, in which each ``*`` stands for any characters; takes no longer than they are."""
    first, *middle = pattern.split(ANY)
    if not middle:
        return text == pattern
    last = middle.pop()
    if not (text.startswith(first) and text.endswith(last) and len(text) >= len(first) + len(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _module_holds(granted: str, module: str) -> bool:
    return module == granted or module.startswith(f"{granted}.")


def _secret_fits(grant: Grant, want: Want, *, denying: bool) -> bool:
    name, kind, destination = divide_secret(grant.resource)
    wanted, wanted_kind, wanted_destination = divide_secret(want.resource)
    if name != wanted:
        return False
    if not wanted_destination:  # a reference: for whoever may use it anywhere
        return not denying or destination == ANY
    if destination == ANY:
        return denying
    if kind != wanted_kind:
        return False
    if kind == "exec":
        return wanted_destination in (destination, divide_secret(grant.named)[2])
    if kind == "call":
        return _module_holds(destination, wanted_destination)
    pattern, target = parse_pattern(destination), target_of(want)
    if denying:
        return _denies_place(pattern, target) and (fits_host(pattern, target) or _denies_address(pattern, target))
    return fits_port(pattern, target, "secret") and fits_host(pattern, target)
