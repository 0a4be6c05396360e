"""What the operator allows, in the one form that is journaled and compared."""

from __future__ import annotations

import hashlib
import json
import os.path
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.permissions.paths import absolute, is_canonical

PATH_EFFECTS: Final = ("read", "write")
"""Classes of effects whose resource is a path."""

FUTURE_EFFECTS: Final = ("net", "exec", "env", "secret", "call")
"""Classes that are part of the vocabulary and have no effect behind them yet."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One class of effects on one directory (or file) and all that is in it.

    ``resource`` is the canonical path, free of links.  ``named`` is the absolute path as the operator wrote it:
    on macOS ``/tmp`` is a link to ``/private/tmp``, and who granted ``/tmp`` may also name files by it.
    """

    effect: str
    resource: str
    named: str = ""

    def __post_init__(self) -> None:
        check_effect(self.effect)
        if not self.named:
            object.__setattr__(self, "named", self.resource)
        for path in (self.resource, self.named):
            if not is_canonical(path):
                raise UsageError(f"the grant {self.effect}={path!r} is not an absolute path in its shortest form")

    def __str__(self) -> str:
        return f"{self.effect}={self.resource}"


@dataclass(frozen=True, slots=True)
class GrantSet:
    """What is allowed and what is denied; sorted and without repeats, so that equal sets are equal.

    The empty set, ``GrantSet()``, allows nothing.
    """

    allow: tuple[Grant, ...] = ()
    deny: tuple[Grant, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", tuple(sorted(set(self.allow))))
        object.__setattr__(self, "deny", tuple(sorted(set(self.deny))))

    def widen(self, other: GrantSet) -> GrantSet:
        """Both sets in one; a denial of either stays."""
        return GrantSet(self.allow + other.allow, self.deny + other.deny)

    def to_data(self) -> dict[str, list[list[str]]]:
        """Plain data for the journal: ``{"allow": [[effect, resource, named], …], "deny": […]}``."""
        return {"allow": [_to_row(grant) for grant in self.allow], "deny": [_to_row(grant) for grant in self.deny]}

    @staticmethod
    def from_data(data: Any) -> GrantSet:
        """The set that ``to_data`` gave.

        Raises:
            UsageError: data of another shape, or grants this version does not know.
        """
        if not isinstance(data, dict) or set(data) != {"allow", "deny"}:
            raise UsageError("not a set of grants: a map with `allow` and `deny` was expected")
        return GrantSet(_from_rows(data["allow"]), _from_rows(data["deny"]))

    def digest(self) -> str:
        """SHA-256 of the set, in hexadecimal digits; equal for equal sets."""
        text = json.dumps(self.to_data(), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def options(self) -> list[str]:
        """The options of the command line that give this set."""
        return [f"--allow {grant}" for grant in self.allow] + [f"--deny {grant}" for grant in self.deny]


def parse_grants(
    allow: Iterable[str],
    deny: Iterable[str],
    base_dir: str,
    canonical: Callable[[str], str] = os.path.realpath,
) -> GrantSet:
    """The grants of ``--allow`` and ``--deny`` texts such as ``read=./data``.

    Relative directories are against ``base_dir``.  ``canonical`` resolves the links of an absolute path at this
    moment: a link that is changed afterwards moves no grant.

    Raises:
        UsageError: a text that is no grant; says what is wrong with it.
    """
    return GrantSet(
        tuple(_parse("--allow", text, base_dir, canonical) for text in allow),
        tuple(_parse("--deny", text, base_dir, canonical) for text in deny),
    )


def check_effect(name: str) -> None:
    """Raise unless ``name`` is a class of effects that can be granted.

    Raises:
        UsageError: names the nearest class, or says that the class comes with a later version.
    """
    if name in PATH_EFFECTS:
        return
    if name in FUTURE_EFFECTS:
        raise UsageError(
            f"`{name}` is not available in this version of Flowmetal",
            remedy=f"this version has {' and '.join(PATH_EFFECTS)}",
        )
    raise UsageError(
        f"there is no class of effects `{name}`{did_you_mean(name, PATH_EFFECTS + FUTURE_EFFECTS)}",
        remedy=f"this version has {' and '.join(PATH_EFFECTS)}",
    )


def _parse(option: str, text: str, base_dir: str, canonical: Callable[[str], str]) -> Grant:
    effect, equals, resource = text.partition("=")
    if equals or effect.isidentifier():
        check_effect(effect)
    if not resource:
        example = effect if effect in PATH_EFFECTS else "read"
        raise UsageError(f"`{option} {text}` names no directory", remedy=f"write {option} {example}=DIRECTORY")
    if resource == "~" or resource.startswith("~/"):
        raise UsageError(
            f"`{option} {text}`: the shell leaves `~` as it is after `=`",
            remedy=f'write {option} "{effect}=$HOME{resource[1:]}"',
        )
    if "\0" in resource or not _is_utf8(resource):
        raise UsageError(f"`{option} {effect}={resource!r}` is not a path in UTF-8")
    named = absolute(resource, base_dir)
    return Grant(effect, absolute(canonical(named), "/"), named)


def _to_row(grant: Grant) -> list[str]:
    return [grant.effect, grant.resource, grant.named]


def _from_rows(rows: Any) -> tuple[Grant, ...]:
    if not isinstance(rows, list):
        raise UsageError("not a set of grants: a list was expected")
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(text, str) for text in row)):
            raise UsageError("not a set of grants: a row of effect, resource and name was expected")
    return tuple(Grant(*row) for row in rows)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
