"""The classes of effects and how the resource of each is written.

| class    | resource                              | means                                                   |
|----------|---------------------------------------|---------------------------------------------------------|
| `read`   | a path                                | that file, or that directory and all in it              |
| `write`  | a path                                | the same                                                |
| `net`    | `HOST[:PORT][/METHOD,METHOD]`         | requests there; without a port 443 and 80, see hosts.py |
| `exec`   | `PROGRAM[@sha256:HEX]` or `*`         | starting that very file                                 |
| `env`    | `NAME` or `*`                         | that variable of the environment                        |
| `secret` | `NAME@HOST`, `@exec:…`, `@call:…`     | handing that secret there and nowhere else              |
| `call`   | `MODULE`, `MODULE:FUNCTION` or `*`    | calling Python functions of it and its submodules       |
| `effect` | a dotted name or `*`                  | that effect of a plug-in                                |
| `signal` | `RUN`, `*` for any characters         | sending messages to that run and all below it           |
| `state`  | `NAME`, `*` for any characters        | reading and setting that name of the home's shared state |

What is written is resolved when it is granted: a link or a search path that changes afterwards moves no grant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.identity import MAX_RUN_ID_BYTES, NAME_RULE, is_name, may_be_run_id
from flowmetal.permissions import environment
from flowmetal.permissions.hosts import Pattern, parse_pattern
from flowmetal.permissions.paths import absolute, is_canonical
from flowmetal.permissions.texts import plain

PATH_EFFECTS: Final = ("read", "write")
"""Classes of effects whose resource is a path."""

GLOB_EFFECTS: Final = ("signal", "state")
"""Classes of effects in whose resource ``*`` stands for any characters."""

EXAMPLES: Final = {
    "read": "PATH",
    "write": "PATH",
    "net": "HOST",
    "exec": "PROGRAM",
    "env": "NAME",
    "secret": "NAME@HOST",
    "call": "MODULE",
    "effect": "NAME",
    "signal": "RUN",
    "state": "NAME",
}
"""Every class there is, with what its resource is."""

ANY: Final = "*"

_DIGEST: Final = re.compile(r"(.*)@sha256:([0-9a-f]{64})", re.DOTALL)
_CALL: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")
_DOTTED: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class World:
    """What is asked of the world when something is granted.

    ``base_dir`` is what relative paths are against; ``canonical`` resolves the links of an absolute path; ``which``
    gives the path of a program by its name or its absolute path, None when there is none that can be started.
    """

    base_dir: str
    canonical: Callable[[str], str]
    which: Callable[[str], str | None]


def check_effect(name: str) -> None:
    """Raise unless ``name`` is a class of effects.

    Raises:
        UsageError: names the nearest class.
    """
    if name not in EXAMPLES:
        raise UsageError(
            f"there is no class of effects `{plain(name)}`{did_you_mean(name, EXAMPLES)}",
            remedy=f"there are {', '.join(EXAMPLES)}",
        )


def resolve(effect: str, text: str, world: World, *, denying: bool) -> tuple[str, str]:
    """The canonical resource of ``text``, and the name by which a flow may call it too.

    Raises:
        UsageError: it is no resource of that class.
    """
    if effect in PATH_EFFECTS:
        named = _path(effect, text, world)
        return absolute(world.canonical(named), "/"), named
    if effect == "exec":
        return _program(text, world, denying)
    if effect == "secret":
        return _secret(text, world, denying)
    resource = _plain_resource(effect, text)
    return resource, resource


def check_form(effect: str, resource: str, named: str) -> None:
    """Raise unless a grant that comes from data is what ``resolve`` could have given.

    Raises:
        UsageError: it is not.
    """
    check_effect(effect)
    if effect in PATH_EFFECTS:
        fits = is_canonical(resource) and is_canonical(named)
        if not fits:
            bad = named if is_canonical(resource) else resource
            raise UsageError(f"the grant {effect}={bad!r} is not an absolute path in its shortest form")
    elif effect == "exec":
        fits = is_program(divide_digest(resource)[0]) and is_program(named)
    elif effect == "secret":
        fits = _is_secret(resource) and _is_secret(named)
    else:
        fits = resource == named == _plain_resource(effect, resource)
    if not fits:
        raise UsageError(f"the grant {effect}={plain(resource)} is not in its canonical form")


def divide_digest(resource: str) -> tuple[str, str]:
    """The program of an ``exec`` resource, and its SHA-256 in hexadecimal digits or ""."""
    found = _DIGEST.fullmatch(resource)
    return (found[1], found[2]) if found else (resource, "")


def divide_secret(resource: str) -> tuple[str, str, str]:
    """Name, kind of destination (``host``, ``exec``, ``call``) and destination of a ``secret`` resource."""
    name, _, destination = resource.partition("@")
    for kind in ("exec", "call"):
        if destination.startswith(f"{kind}:"):
            return name, kind, destination.removeprefix(f"{kind}:")
    return name, "host", destination


def is_program(text: str) -> bool:
    """Whether ``text`` is the bare name of a program or an absolute path in its shortest form."""
    return _is_utf8(text) and (is_canonical(text) or (bool(text) and "/" not in text and "\0" not in text))


def _path(effect: str, text: str, world: World) -> str:
    if text == "~" or text.startswith("~/"):
        raise UsageError(
            "the shell leaves `~` as it is after `=`", remedy=f'write "{effect}=$HOME{plain(text[1:])}", with quotes'
        )
    if "\0" in text or not _is_utf8(text):
        raise UsageError("it is not a path in UTF-8")
    return absolute(text, world.base_dir)


def _plain_resource(effect: str, text: str) -> str:
    if effect == "net":
        return str(parse_pattern(text))
    if text == ANY:
        return text
    if effect == "env" and not environment.is_name(text):
        raise UsageError(f"`{plain(text)}` is not the name of a variable")
    if effect == "call" and not _CALL.fullmatch(text):
        raise UsageError(f"`{plain(text)}` is neither MODULE nor MODULE:FUNCTION")
    if effect == "signal" and not (may_be_run_id(text.replace(ANY, "x")) and len(text) <= MAX_RUN_ID_BYTES):
        raise UsageError(f"`{plain(text)}` is no run id", remedy="it is the id of a run, with `*` for any characters")
    if effect == "state" and not is_name(text.replace(ANY, "x")):
        raise UsageError(f"`{plain(text)}` is no name of shared state", remedy=f"a name is {NAME_RULE}; `*` is any")
    if effect == "effect" and not _DOTTED.fullmatch(text):
        raise UsageError(f"`{plain(text)}` is not the name of an effect", remedy="it is a dotted name, or `*`")
    return text


def _program(text: str, world: World, denying: bool) -> tuple[str, str]:
    name, digest = divide_digest(text)
    if not digest and "@sha256:" in name:
        raise UsageError("a digest has 64 hexadecimal digits in lower case after @sha256:")
    if name == ANY and not digest:
        return ANY, ANY
    named = _path("exec", name, world) if "/" in name or name.startswith("~") else name
    if not named or named == ANY or "\0" in named or not _is_utf8(named):
        raise UsageError("no program is named")
    found = world.which(named)
    if found is None:
        if denying:
            return named, named  # nothing to be started here, and denied should it come
        where = "" if "/" in name else " on the search path"
        is_here = "/" not in name and world.which(absolute(name, world.base_dir)) is not None
        meant = f", did you mean `./{plain(name)}`?" if is_here else ""
        raise UsageError(f"there is no program `{plain(name)}`{where} that can be started{meant}")
    path = absolute(world.canonical(absolute(found, world.base_dir)), "/")
    return (f"{path}@sha256:{digest}" if digest else path), named


def _secret(text: str, world: World, denying: bool) -> tuple[str, str]:
    name, at, destination = text.partition("@")
    if not environment.is_name(name):
        raise UsageError(f"`{plain(name)}` is not the name of a secret")
    if not at or not destination:
        raise UsageError(
            "it does not say where the secret may go",
            remedy=f"write secret={name}@HOST, or @exec:PROGRAM, @call:MODULE",
        )
    _, kind, destination = divide_secret(text)
    if kind == "exec":
        if divide_digest(destination)[1] or destination == ANY:
            raise UsageError("a secret is bound to one program, by its name alone")
        path, named = _program(destination, world, denying)
        return f"{name}@exec:{path}", f"{name}@exec:{named}"
    if kind == "call":
        if destination == ANY or ":" in destination:
            raise UsageError("a secret is bound to a module: @call:MODULE")
        resource = f"{name}@call:{_plain_resource('call', destination)}"
        return resource, resource
    if destination == ANY:
        if denying:
            return f"{name}@*", f"{name}@*"
        raise UsageError("a secret is never for every host", remedy=f"write secret={name}@HOST")
    resource = f"{name}@{_destination(parse_pattern(destination))}"
    return resource, resource


def _destination(pattern: Pattern) -> Pattern:
    if pattern.name == ANY or pattern.methods:
        raise UsageError("a secret is bound to HOST or HOST:PORT")
    if pattern.network is not None and pattern.network.prefixlen != pattern.network.max_prefixlen:
        raise UsageError("a secret is bound to a name or one address, not to a block")
    return pattern


def _is_secret(text: str) -> bool:
    name, kind, destination = divide_secret(text)
    if not environment.is_name(name):
        return False
    if kind == "exec":
        return is_program(destination)
    if kind == "call":
        return _DOTTED.fullmatch(destination) is not None
    return destination == ANY or str(_destination(parse_pattern(destination))) == destination


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
