"""What a refusal says: what was wanted, who asked, the very option that would allow it, and what came near."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable

from flowmetal.permissions.grants import Grant
from flowmetal.permissions.hosts import ANY_PORT, Pattern, Target, parse_pattern
from flowmetal.permissions.matching import DEFAULT_PORTS, allows, fits_host, fits_method, fits_port
from flowmetal.permissions.packages import ROOT
from flowmetal.permissions.texts import plain
from flowmetal.permissions.vocabulary import ANY, divide_secret
from flowmetal.permissions.wants import Want, target_of


def doing(want: Want) -> str:
    """The action and what it is about to do, as a sentence begins with it."""
    resource = plain(want.resource)
    if want.effect == "net":
        target = target_of(want)
        what = f"{target.method or 'connecting to'} {target.name}:{target.port}"
    elif want.effect == "secret":
        name, kind, destination = divide_secret(want.resource)
        if not destination:
            return f"{want.action_name}: the secret {plain(name)}"
        where = {"host": "sending to {}", "exec": "giving to the program {}", "call": "giving to the Python module {}"}
        verb, _, place = where[kind].replace("{}", plain(destination)).partition(" to ")
        what = f"{verb} the secret {name} to {place}"
    else:
        verbs = {
            "read": "reading",
            "write": "writing",
            "exec": "running",
            "env": "reading the variable",
            "call": "calling the Python function",
            "effect": "the effect",
            "signal": "a message to",
            "state": "the shared state",
        }
        what = f"{verbs[want.effect]} {resource}"
    return f"{want.action_name}: {what}"


def option_of(want: Want, package: str = ROOT) -> str:
    """The smallest option that allows ``want``, of a file also what lies beside it, quoted for a shell."""
    text = shlex.quote(grant_text(want))
    return f"--allow {text}" if package == ROOT else f"--allow-for {shlex.quote(package)} {text}"


def grant_text(want: Want) -> str:
    """The smallest grant that allows ``want``, of a file also what lies beside it: ``read=/srv/data``."""
    resource = want.resource
    if want.effect == "secret" and "@" not in resource:
        resource += "@<HOST>"  # where it is to go is not known yet, and no guess may be pasted
    if want.effect in ("read", "write") and not want.is_directory:
        directory = posixpath.dirname(resource)
        resource = directory if directory != "/" else resource  # never propose the whole machine
    return f"{want.effect}={resource}"


def not_granted(want: Want, lacking: dict[str, str], near: Iterable[Grant]) -> tuple[str, str]:
    """Message and option of a want that some authorities do not grant.

    Args:
        want: what was wanted.
        lacking: the authorities without a grant, "" for the run, each with the module that asked.
        near: what the first of them has.
    """
    option = " ".join(option_of(want, package) for package in lacking)
    package = next((each for each in lacking if each != ROOT), ROOT)
    whom = ""
    if package.startswith("//"):
        whom = f" to {package}"
    elif package != ROOT:
        whom = f" to the package {package}, whose module {plain(lacking[package])} asked"
    hint = next((hint for grant in near if (hint := _near_miss(grant, want))), "")
    if want.effect == "secret" and "@" not in want.resource:
        words = f"secret={plain(want.resource)}@HOST, @exec:PROGRAM or @call:MODULE"
        return f"{doing(want)} is not granted{whom}{hint}: allow it where it is to go, {words}", option
    advice = f"add {option}" if option.isprintable() else "grant its directory by hand, its name cannot be shown"
    return f"{doing(want)} is not granted{whom}{hint}: {advice}", option


def beyond_ceiling(want: Want, package: str, module: str, ceiling: Iterable[Grant]) -> str:
    """The message of a want that a package has not said that it may need; no grant would help."""
    said = ", ".join(plain(str(grant)) for grant in ceiling) or "nothing"
    return (
        f"{doing(want)} is beyond the permissions of the package {package}, whose module {plain(module)} asked: "
        f"[permissions] in its flowmetal.toml has {said}, or no more was accepted, and no grant opens more"
    )


def _near_miss(grant: Grant, want: Want) -> str:
    """What a grant that almost fits is for, as a half-sentence, or ""."""
    if grant.effect == want.effect == "net":
        return _near_host(str(grant), parse_pattern(grant.resource), target_of(want), "net")
    if grant.effect == want.effect == "secret":
        name, kind, destination = divide_secret(grant.resource)
        wanted, wanted_kind, _ = divide_secret(want.resource)
        if name != wanted:
            return ""
        if kind == wanted_kind == "host" and "@" in want.resource:
            near = _near_host(str(grant), parse_pattern(destination), target_of(want), "secret")
            return near or f" (`{grant}` is for {destination})"
        return f" (`{grant}` is for another destination)"
    if {grant.effect, want.effect} == {"read", "write"} and allows(
        Grant(want.effect, grant.resource, grant.named), want, fold=False
    ):
        return f" (`{grant}` does not allow {'writing' if want.effect == 'write' else 'reading'})"
    return ""


def _near_host(grant: str, pattern: Pattern, target: Target, effect: str) -> str:
    if pattern.name.startswith("*.") and target.name == pattern.name[2:]:
        return f" (`{grant}` is for the names below {target.name}, not for it)"
    if pattern.name == ANY and target.address is not None and not fits_host(pattern, target):
        return f" (`{grant}` is for public addresses only)"
    if not fits_host(pattern, target):
        return ""
    if not fits_port(pattern, target, effect):
        ports = DEFAULT_PORTS[effect] if pattern.port is None else (pattern.port,)
        if target.port in (80, 443) and set(ports) <= {80, 443}:
            kinds = {80: "http, port 80", 443: "https, port 443"}
            return f" (`{grant}` is for {kinds[ports[0]]}; this is {kinds[target.port]})"
        return f" (`{grant}` is for port {' and '.join(map(str, ports))})" if ANY_PORT not in ports else ""
    if not fits_method(pattern, target):
        return f" (`{grant}` is for {', '.join(pattern.methods)})"
    return ""
