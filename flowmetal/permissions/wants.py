"""What is asked of the gate, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from flowmetal.errors import UsageError
from flowmetal.permissions.grants import Grant
from flowmetal.permissions.hosts import Target, parse_target
from flowmetal.permissions.paths import is_canonical
from flowmetal.permissions.texts import plain
from flowmetal.permissions.vocabulary import (
    ANY,
    GLOB_EFFECTS,
    PATH_EFFECTS,
    check_effect,
    check_form,
    divide_secret,
    is_program,
)


@dataclass(frozen=True, slots=True)
class Want:
    """What an effect is about to do.

    ``resource`` depends on the class: an absolute path without ``.`` and ``..``; ``host:port/METHOD`` of ``net``, as
    ``net_resource`` gives it; of ``exec`` the program as the flow names it, a path made absolute; ``NAME`` of ``env``;
    ``NAME@host:port``, ``NAME@exec:/path`` or ``NAME@call:module`` of ``secret``, or ``NAME`` alone for a reference
    to it, which shows nothing; ``module:function`` of ``call``;
    the name of an ``effect``; a run's id of ``signal``; a name of ``state``.  ``action_name`` is the action that asks,
    as the flow calls it; ``is_directory`` says that the resource is a directory itself, not a file in one.
    """

    effect: str
    resource: str
    action_name: str
    is_directory: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """Leave to perform one want, the only thing an executor accepts.

    ``grant`` is the narrowest of the grants it rests on.  ``named`` is the path by which the flow's path lies in the
    grant (``grant.resource`` or ``grant.named``); ``fences`` are the directories and files that stay closed even if a
    link leads there, of ``exec`` the programs that are denied.  Of ``net``: ``networks`` are the blocks of addresses
    that are granted for this port and method, ``denied_networks`` those that are denied; both in text.  Of ``exec``:
    ``program`` is the path to start, "" when any program is granted and the executor finds it, and ``digests`` are
    the SHA-256 of which the file must have one, () when it may have any.  ``packages`` asked, beside the root program.
    """

    want: Want
    grant: Grant
    named: str
    fences: tuple[str, ...]
    networks: tuple[str, ...] = ()
    denied_networks: tuple[str, ...] = ()
    program: str = ""
    digests: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Denied:
    """A want that is refused; ``option`` is what to add to the command line, or empty when nothing would help."""

    want: Want
    message: str
    option: str


Decision: TypeAlias = Allowed | Denied


def check_want(want: Want) -> None:
    """Raise unless the resource of a want has the form of its class.

    Raises:
        UsageError: it has not; nothing could be said of it.
    """
    check_effect(want.effect)
    resource = want.resource
    if want.effect in PATH_EFFECTS:
        if not is_canonical(resource):
            raise UsageError(f"`{plain(resource)}` is not an absolute path in its shortest form")
    elif want.effect == "net":
        parse_target(resource)
    elif want.effect == "secret":
        name, kind, destination = divide_secret(resource)
        if kind == "host":
            check_form("env", name, name)
            if destination or "@" in resource:
                parse_target(destination)
        else:
            check_form("secret", resource, resource)
    elif resource == ANY or not resource or (want.effect in GLOB_EFFECTS and ANY in resource):
        raise UsageError(f"`{plain(resource)}` is not one resource of class {want.effect}")
    elif want.effect == "call" and ":" not in resource:
        raise UsageError(f"`{plain(resource)}` is not MODULE:FUNCTION")
    elif want.effect == "exec":
        if not is_program(resource):
            raise UsageError(f"`{plain(resource)}` is neither the name of a program nor an absolute path")
    else:
        check_form(want.effect, resource, resource)


def target_of(want: Want) -> Target:
    """Where a want of class ``net`` leads, or one of class ``secret`` to a host."""
    return parse_target(want.resource if want.effect == "net" else divide_secret(want.resource)[2])
