"""The one function that decides, and what it says.

Deny wins over allow.  Some directories are denied whatever is allowed: the kernel's views of processes and devices,
through which any file can be reached, and the directories that the caller protects (the home with the journal).
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from flowmetal.permissions.grants import Grant, GrantSet
from flowmetal.permissions.paths import FOLD_NAMES, contains, parts

ALWAYS_DENIED: Final = ("/proc", "/sys", "/dev")
"""Directories no grant opens."""

_DOING: Final = {"read": "reading", "write": "writing"}


@dataclass(frozen=True, slots=True)
class Want:
    """What an effect is about to do.

    ``resource`` is an absolute path without ``.`` and ``..``; ``action_name`` the action that asks, as the flow calls
    it; ``is_directory`` says that the resource is a directory itself, not a file in one.
    """

    effect: str
    resource: str
    action_name: str
    is_directory: bool = False


@dataclass(frozen=True, slots=True)
class Allowed:
    """Leave to perform one want, the only thing an executor accepts.

    ``named`` is the path by which the flow's path lies in the grant (``grant.resource`` or ``grant.named``);
    ``fences`` are the directories and files that stay closed even if a link leads there.
    """

    want: Want
    grant: Grant
    named: str
    fences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """A want that is refused; ``option`` is what to add to the command line, or empty when nothing would help."""

    want: Want
    message: str
    option: str


Decision: TypeAlias = Allowed | Denied


def decide(
    grants: GrantSet,
    want: Want,
    *,
    protected: tuple[str, ...] = (),
    fold: bool = FOLD_NAMES,
) -> Decision:
    """Whether ``want`` may be done under ``grants``.

    Args:
        grants: what the run has.
        want: one thing that an effect is about to do.
        protected: canonical directories that are denied whatever is allowed.
        fold: whether names are compared in normal form and without case.
    """
    for directory in ALWAYS_DENIED:
        if contains(directory, want.resource, fold=fold):
            return Denied(want, f"{_doing(want)} is never allowed: no grant opens {directory}", "")
    for directory in protected:
        if contains(directory, want.resource, fold=fold):
            return Denied(want, f"{_doing(want)} is never allowed: {directory} is Flowmetal's own", "")
    denied = [grant for grant in grants.deny if grant.effect == want.effect]
    for grant in denied:
        if contains(grant.resource, want.resource, fold=fold) or contains(grant.named, want.resource, fold=fold):
            return Denied(want, f"{_doing(want)} is denied: `--deny {grant}` wins over every `--allow`", "")
    matches = [
        (len(parts(named, fold=False)), grant, named)
        for grant in grants.allow
        if grant.effect == want.effect
        for named in dict.fromkeys((grant.resource, grant.named))
        if contains(named, want.resource, fold=fold)
    ]
    if not matches:
        option = _option(want)
        return Denied(want, f"{_doing(want)} is not granted: add {option}", option)
    # The widest grant: one more grant must never take away what a link was allowed before.
    _, grant, named = min(matches)
    fences = (
        *ALWAYS_DENIED,
        *protected,
        *(path for deny in denied for path in dict.fromkeys((deny.resource, deny.named))),
    )
    return Allowed(want, grant, named, fences)


def decide_all(
    grants: GrantSet,
    wants: Iterable[Want],
    *,
    protected: tuple[str, ...] = (),
    fold: bool = FOLD_NAMES,
) -> tuple[Allowed, ...] | Denied:
    """Leave for every one of ``wants``, in their order, or the first refusal."""
    allowed: list[Allowed] = []
    for want in wants:
        decision = decide(grants, want, protected=protected, fold=fold)
        if isinstance(decision, Denied):
            return decision
        allowed.append(decision)
    return tuple(allowed)


def _doing(want: Want) -> str:
    return f"{want.action_name}: {_DOING[want.effect]} {want.resource}"


def _option(want: Want) -> str:
    """The smallest option that allows ``want`` and what lies beside it, quoted for a shell."""
    resource = want.resource if want.is_directory else posixpath.dirname(want.resource)
    if resource == "/":
        resource = want.resource  # never propose the whole machine
    return f"--allow {shlex.quote(f'{want.effect}={resource}')}"
