"""What a package says that its code may need: texts of grants that mean the same on every machine.

A ceiling grants nothing.  A relative path counts from the run's directory, a program is named as it is on the search
path: both are resolved where the package is used, by ``parse_grants``.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any, Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.permissions.grants import parse_grant
from flowmetal.permissions.hosts import ANY_PORT, Pattern, parse_pattern
from flowmetal.permissions.matching import DEFAULT_PORTS
from flowmetal.permissions.texts import plain
from flowmetal.permissions.vocabulary import ANY, EXAMPLES, PATH_EFFECTS, World, check_effect, divide_digest

MAX_PERMISSIONS: Final = 256
_NOWHERE: Final = World("/", lambda path: path, lambda name: name)
"""A machine without links that has every program."""


def permission(text: str) -> str:
    """The canonical text of one grant such as ``net=api.example.org:443``.

    Raises:
        UsageError: it is none, or means something on one machine only.
    """
    effect, _, resource = text.partition("=")
    grant = parse_grant("permission", text, _NOWHERE)
    if effect in PATH_EFFECTS:
        return f"{effect}={_path(text, resource)}"
    if effect == "exec":
        _check_program(text, resource)
        digest = divide_digest(resource)[1]
        return f"exec={grant.named}@sha256:{digest}" if digest else f"exec={grant.named}"
    if effect == "secret":
        _check_program(text, resource.partition("@exec:")[2])
        return f"secret={grant.named}"
    return str(grant)


def permissions_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Canonical texts, sorted and without repeats.

    Raises:
        UsageError: one of them is no grant, or there are too many.
    """
    found = tuple(sorted({permission(text) for text in texts}))
    if len(found) > MAX_PERMISSIONS:
        raise UsageError(f"there are {len(found)} permissions; the limit is {MAX_PERMISSIONS}")
    return found


def check_permissions(texts: Iterable[str]) -> tuple[str, ...]:
    """Texts that a tool of ours wrote, and that must be as ``permissions_of`` gives them.

    Raises:
        UsageError: they are not.
    """
    given = tuple(texts)
    if permissions_of(given) != given:
        raise UsageError("the permissions are not in their canonical form: sorted, each once")
    return given


def read_permissions(table: Any) -> tuple[str, ...]:
    """The permissions of a parsed table: lists of resources by class.

    Raises:
        UsageError: a class that there is not, a value of another kind, a resource that is none.
    """
    if not isinstance(table, Mapping):
        raise UsageError("`permissions` is not a table", remedy="write [permissions] on a line of its own")
    texts = []
    for effect, resources in table.items():
        if effect not in EXAMPLES:
            raise UsageError(
                f"[permissions] has no key `{plain(effect)}`{did_you_mean(effect, EXAMPLES)}",
                remedy=f"there are {', '.join(EXAMPLES)}",
            )
        check_effect(effect)
        if not isinstance(resources, list) or not all(isinstance(each, str) for each in resources):
            raise UsageError(
                f"[permissions] {effect} is not a list of strings", remedy=f'write {effect} = ["{EXAMPLES[effect]}"]'
            )
        texts += [f"{effect}={each}" for each in resources]
    return permissions_of(texts)


def beyond(own: Iterable[str], theirs: Iterable[str]) -> list[str]:
    """Those of ``theirs``, canonical texts, that none of ``own`` allows as a whole."""
    given = tuple(own)
    return [each for each in theirs if not any(_includes(text, each) for text in given)]


def _includes(text: str, other: str) -> bool:
    effect, _, resource = text.partition("=")
    other_effect, _, wanted = other.partition("=")
    if effect != other_effect:
        return False
    if effect in PATH_EFFECTS:
        is_here = resource == "." and not wanted.startswith("/")
        return is_here or wanted == resource or wanted.startswith(resource.rstrip("/") + "/")
    if effect == "net":
        return _includes_hosts(parse_pattern(resource), parse_pattern(wanted))
    return resource in (ANY, wanted)


def _includes_hosts(pattern: Pattern, other: Pattern) -> bool:
    ports = (pattern.port,) if pattern.port is not None else (None, *DEFAULT_PORTS["net"])
    is_port = other.port in ports or pattern.port == ANY_PORT
    is_method = not pattern.methods or (bool(other.methods) and set(other.methods) <= set(pattern.methods))
    if pattern.network is not None or other.network is not None:
        is_host = pattern.network == other.network
    else:
        below = pattern.name.startswith("*.") and other.name.endswith(pattern.name[1:])
        is_host = below or pattern.name in (ANY, other.name)
    return is_port and is_method and is_host


def _path(text: str, path: str) -> str:
    normal = posixpath.normpath(path)
    if path.startswith("/"):
        return "/" + normal.lstrip("/")
    if normal == ".." or normal.startswith("../"):
        raise UsageError(
            f"`{plain(text)}` leaves the directory of the run", remedy="name a directory in it, or an absolute path"
        )
    return normal if normal == "." else f"./{normal}"


def _check_program(text: str, program: str) -> None:
    if "/" in program and not program.startswith("/"):
        raise UsageError(
            f"`{plain(text)}` names a program by a relative path", remedy="name it as on the search path, or absolutely"
        )
