"""What the operator allows, in the one form that is journaled and compared."""

from __future__ import annotations

import hashlib
import json
import os.path
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from flowmetal.errors import UsageError
from flowmetal.permissions.packages import check_package
from flowmetal.permissions.texts import plain
from flowmetal.permissions.vocabulary import ANY, EXAMPLES, World, check_effect, check_form, divide_digest, resolve

NOTHING: Final = "none"
"""The text that declares a package and grants nothing to it."""

EVERYTHING_MEANS: Final = (
    "everything is allowed: the flow reads and writes all files of this user, reaches every host and this machine's "
    "own network, starts every program, sees the whole environment, calls any Python function, sends messages to every "
    "run and sets what the runs of this home share; only secrets, "
    "packages it loads and the addresses where clouds hand out credentials still need grants of their own"
)
"""What ``everything`` says of itself to a person."""


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """One class of effects on one resource, as ``vocabulary`` has them.

    ``resource`` is canonical: a path is free of links, a host in lower case.  ``named`` is the name by which a flow may
    call it too: on macOS ``/tmp`` is a link to ``/private/tmp``, and who granted ``/tmp`` may also name files by it; a
    program is known by its path and by the name it was granted as.
    """

    effect: str
    resource: str
    named: str = ""

    def __post_init__(self) -> None:
        if not self.named:
            program = divide_digest(self.resource)[0]
            object.__setattr__(self, "named", program if self.effect == "exec" else self.resource)
        check_form(self.effect, self.resource, self.named)

    def __str__(self) -> str:
        return f"{self.effect}={self.resource}"


@dataclass(frozen=True, slots=True)
class GrantSet:
    """What is allowed and what is denied; sorted and without repeats, so that equal sets are equal.

    The empty set, ``GrantSet()``, allows nothing.  ``packages`` says what the code of single packages may do, at most:
    a package that is loaded and not in it may do nothing.  ``ceilings`` say what packages may need by their own word,
    and grant nothing: a package that has one never does more, whatever is granted to it.
    """

    allow: tuple[Grant, ...] = ()
    deny: tuple[Grant, ...] = ()
    packages: tuple[tuple[str, GrantSet], ...] = ()
    ceilings: tuple[tuple[str, GrantSet], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "allow", tuple(sorted(set(self.allow))))
        object.__setattr__(self, "deny", tuple(sorted(set(self.deny))))
        for grant in self.allow:
            if grant.effect == "secret" and grant.resource.endswith(f"@{ANY}"):
                raise UsageError(f"the grant {grant} is for every host, which no secret is")
        merged: dict[str, GrantSet] = {}
        for label, grants in self.packages:
            if grants.packages:
                raise UsageError(f"the package {plain(label)} grants to packages itself")
            merged[check_package(label)] = merged[label].widen(grants) if label in merged else grants
        object.__setattr__(self, "packages", tuple((label, merged[label]) for label in sorted(merged)))
        ceilings = {check_package(label): ceiling for label, ceiling in self.ceilings}
        object.__setattr__(self, "ceilings", tuple((label, ceilings[label]) for label in sorted(ceilings)))

    def widen(self, other: GrantSet) -> GrantSet:
        """Both sets in one; a denial of either stays, and a ceiling of this one."""
        return GrantSet(
            self.allow + other.allow,
            self.deny + other.deny,
            self.packages + other.packages,
            other.ceilings + self.ceilings,
        )

    def to_data(self) -> dict[str, Any]:
        """Plain data for the journal: ``{"allow": [[effect, resource, named], …], "deny": […]}``.

        With packages also ``"packages": [[label, {"allow": …, "deny": …}], …]``, and ``"ceilings"`` likewise.
        """
        data: dict[str, Any] = {
            "allow": [_to_row(grant) for grant in self.allow],
            "deny": [_to_row(grant) for grant in self.deny],
        }
        if self.packages:
            data["packages"] = [[label, grants.to_data()] for label, grants in self.packages]
        if self.ceilings:
            data["ceilings"] = [[label, ceiling.to_data()] for label, ceiling in self.ceilings]
        return data

    @staticmethod
    def from_data(data: Any) -> GrantSet:
        """The set that ``to_data`` gave.

        Raises:
            UsageError: data of another shape, or grants this version does not know.
        """
        if not isinstance(data, dict) or set(data) - {"packages", "ceilings"} != {"allow", "deny"}:
            raise UsageError("not a set of grants: a map with `allow` and `deny` was expected")
        return GrantSet(
            _from_rows(data["allow"]),
            _from_rows(data["deny"]),
            _of_packages(data.get("packages", [])),
            _of_packages(data.get("ceilings", [])),
        )

    def digest(self) -> str:
        """SHA-256 of the set, in hexadecimal digits; equal for equal sets."""
        text = json.dumps(self.to_data(), ensure_ascii=True, separators=(",", ":"), sort_keys=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def options(self) -> list[str]:
        """The options of the command line that give this set, as far as there are options for it."""
        lines = [f"--allow {grant}" for grant in self.allow] + [f"--deny {grant}" for grant in self.deny]
        for label, grants in self.packages:
            lines += [f"--allow-for {label} {text}" for text in [*map(str, grants.allow)] or [NOTHING]]
        return lines


def parse_grants(
    allow: Iterable[str],
    deny: Iterable[str],
    base_dir: str,
    canonical: Callable[[str], str] = os.path.realpath,
    which: Callable[[str], str | None] = shutil.which,
    *,
    allow_for: Iterable[tuple[str, str]] = (),
) -> GrantSet:
    """The grants of ``--allow`` and ``--deny`` texts such as ``read=./data``.

    Relative paths are against ``base_dir``.  ``canonical`` resolves the links of an absolute path at this moment: a
    link that is changed afterwards moves no grant; ``which`` finds programs.  ``allow_for`` are pairs of a package and
    a grant for it, or ``none``.

    Raises:
        UsageError: a text that is no grant; says what is wrong with it.
    """
    world = World(base_dir, canonical, which)
    packages = [
        (
            check_package(label),
            GrantSet() if text == NOTHING else GrantSet((parse_grant(f"--allow-for {label}", text, world),)),
        )
        for label, text in allow_for
    ]
    return GrantSet(
        tuple(parse_grant("--allow", text, world) for text in allow),
        tuple(parse_grant("--deny", text, world, denying=True) for text in deny),
        tuple(packages),
    )


def everything() -> GrantSet:
    """All that can be granted but secrets, which are always named, and metadata addresses; for no package."""
    texts = {
        "read": ("/",),
        "write": ("/",),
        "net": ("*:*", "0.0.0.0/0:*", "[::]/0:*"),
        "exec": (ANY,),
        "env": (ANY,),
        "call": (ANY,),
        "effect": (ANY,),
        "signal": (ANY,),
        "state": (ANY,),
    }
    return GrantSet(tuple(Grant(effect, resource) for effect, resources in texts.items() for resource in resources))


def parse_grant(option: str, text: str, world: World, *, denying: bool = False) -> Grant:
    """One grant; ``option`` is what errors call the place where it stands.

    Raises:
        UsageError: a text that is no grant.
    """
    effect, equals, resource = text.partition("=")
    shown = f"`{option} {plain(text)}`"
    if equals or effect.isidentifier():
        check_effect(effect)
    if text.startswith("-"):
        raise UsageError(f"{shown}: an option is no grant", remedy=f"write {option} CLASS=WHAT, then the next option")
    if not resource:
        example = effect if effect in EXAMPLES else "read"
        what = EXAMPLES[example].lower().replace("name@host", "name and host")
        raise UsageError(f"{shown} names no {what}", remedy=f"write {option} {example}={EXAMPLES[example]}")
    try:
        return Grant(effect, *resolve(effect, resource, world, denying=denying))
    except UsageError as error:
        raise UsageError(f"{shown}: {error.message}", remedy=error.remedy) from None


def _to_row(grant: Grant) -> list[str]:
    return [grant.effect, grant.resource, grant.named]


def _of_packages(rows: Any) -> tuple[tuple[str, GrantSet], ...]:
    if not isinstance(rows, list):
        raise UsageError("not a set of grants: a list of packages was expected")
    for row in rows:
        if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and _is_flat(row[1])):
            raise UsageError("not a set of grants: a row of package and grants was expected")
    return tuple((label, GrantSet.from_data(grants)) for label, grants in rows)


def _is_flat(data: Any) -> bool:
    return isinstance(data, dict) and not {"packages", "ceilings"} & set(data)


def _from_rows(rows: Any) -> tuple[Grant, ...]:
    if not isinstance(rows, list):
        raise UsageError("not a set of grants: a list was expected")
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(text, str) for text in row)):
            raise UsageError("not a set of grants: a row of effect, resource and name was expected")
    return tuple(Grant(*row) for row in rows)
