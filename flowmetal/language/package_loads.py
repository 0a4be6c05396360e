"""Loads of packages: ``host/path``, then ``@version`` or ``@sha256:digest``, then ``//file.flow``.

All before ``//`` is the name of the package, so there is one place to look it up and no guess where it ends.  Names are
in lower case only, which takes the differences between file systems and between servers away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from flowmetal.errors import LanguageError, UsageError, did_you_mean
from flowmetal.package_ids import TREE_DIGEST, check_package_id, guess_version, is_version

ROOT: Final = ""
"""The root program's name among the rules."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the modules of one package may load, and which of its own others may.

    ``requires`` are the packages with their least versions, None for any at all: for the root program this is a script
    without a manifest.  ``exports`` are patterns of files beside ``entry``, None for every file.
    """

    entry: str
    requires: Mapping[str, str] | None = None
    exports: tuple[str, ...] | None = None

    def to_data(self) -> list[Any]:
        """The rule for a frame."""
        exports = None if self.exports is None else list(self.exports)
        return [self.entry, None if self.requires is None else dict(self.requires), exports]

    @staticmethod
    def from_data(data: list[Any]) -> Rule:
        """The rule that ``to_data`` gave."""
        return Rule(data[0], data[1], None if data[2] is None else tuple(data[2]))


Rules: TypeAlias = Mapping[str, Rule]
"""By the name of the package; the root program's is ``ROOT``."""


@dataclass(frozen=True, slots=True)
class PackageLoad:
    """What a load string asks for: ``requirement`` is a version, ``sha256:…`` or ""; ``file`` "" for the entry."""

    package: str
    requirement: str = ""
    file: str = ""

    def text(self, file: str) -> str:
        """The one form of it, ``file`` being the normal one."""
        at = f"@{self.requirement}" if self.requirement else ""
        return f"{self.package}{at}//{file}"


def is_package_load(written: str) -> bool:
    """Whether a load string is meant to name a package: it begins with what is a host by its looks."""
    name = written.partition("//")[0]
    host, slash, _ = name.partition("/")
    looks = ("." in host.strip(".") and not host.startswith((".", ":"))) or host.partition(":")[0] == "localhost"
    return bool(slash) and looks and not (name.endswith(".flow") and "//" not in written and "@" not in name)


def parse_load(written: str) -> PackageLoad:
    """The package, version and file of a load string.

    Raises:
        LanguageError: it names none; says which part is wrong.
    """
    name, slashes, file = written.partition("//")
    package, at, requirement = name.partition("@")
    if "@" in name.partition("/")[0]:
        raise _wrong(written, "it has a user before its host", "a package's host stands alone")
    if package != package.lower() and package.isascii():
        raise _wrong(written, "names of packages are in lower case", f'write "{package.lower()}"')
    try:
        check_package_id(package)
    except UsageError as error:
        raise _wrong(written, error.message, error.remedy) from None
    if at and not (is_version(requirement) or TREE_DIGEST.fullmatch(requirement)):
        raise _wrong(written, f"@{requirement[:80]} is no version", _meant_by(package, requirement))
    if "@" in file:
        path, _, version = file.partition("@")
        remedy = f'write "{package}@{version}//{path}"' if not at else ""
        raise _wrong(written, "a version stands before //", remedy)
    if slashes and not file:
        raise _wrong(written, "no file follows //", f'the package\'s entry is "{name}"')
    return PackageLoad(package, requirement, file)


def _meant_by(package: str, requirement: str) -> str:
    version, _, file = requirement.partition("/")
    likely = version if is_version(version) else guess_version(version)
    if file and likely:
        return f'write "{package}@{likely}//{file}"'
    if likely and not requirement.startswith("sha256"):
        return f"write @{likely}: it means this version or a later one"
    return "write @1.4.2, the least version, or @sha256: and 64 hexadecimal digits"


def resolve_package(loader: str, asked: PackageLoad, file: str, written: str, rules: Rules) -> str:
    """The label of a load that ``loader``, a package or ``ROOT``, asks for; ``file`` is in normal form, or "".

    Raises:
        LanguageError: the loader may not load that package, in that version, or that file.
    """
    own = rules.get(loader, Rule(""))
    package = asked.package
    if package == loader:
        raise _wrong(written, "a package does not load itself by name", f'write "//{file or own.entry}"')
    if own.requires is not None:
        _check_required(loader, asked, written, own.requires)
    there = rules.get(package)
    if there is None:
        raise LanguageError(
            f'load("{written}"): {package} is none of this program\'s packages{did_you_mean(package, rules)}'
        )
    if not file or file == there.entry:
        return f"{package}//{there.entry}"
    if there.exports is not None and not any(_fits(pattern, file) for pattern in there.exports):
        shown = ", ".join(dict.fromkeys((there.entry, *there.exports)))
        raise LanguageError(
            f'load("{written}"): {package} does not export {file}{did_you_mean(file, there.exports)}',
            remedy=f"it exports {shown}",
        )
    return f"{package}//{file}"


def _check_required(loader: str, asked: PackageLoad, written: str, requires: Mapping[str, str]) -> None:
    package = asked.package
    whose = "flowmetal.toml" if loader == ROOT else f"the manifest of {loader}"
    if package not in requires:
        at = f"@{asked.requirement}" if asked.requirement else ""
        help_ = f"`flowmetal pkg add {package}{at}` adds it" if loader == ROOT else "its author has to add it there"
        near = did_you_mean(package, requires)
        raise LanguageError(f'load("{written}"): {whose} does not require {package}{near}', remedy=help_)
    if asked.requirement and asked.requirement != requires[package]:
        raise LanguageError(
            f'load("{written}"): {whose} requires {package} {requires[package]}',
            remedy=f"versions stand in the manifest: write it without @{asked.requirement}",
        )


def _fits(pattern: str, file: str) -> bool:
    """Whether a file is meant by a pattern, in which ``*`` stands for a part of one name."""
    parts, names = pattern.split("/"), file.split("/")
    return len(parts) == len(names) and all(
        re.fullmatch(".*".join(map(re.escape, part.split("*"))), name) for part, name in zip(parts, names, strict=True)
    )


def _wrong(written: str, what: str, remedy: str) -> LanguageError:
    return LanguageError(f'load("{written}") is not a label: {what}', remedy=remedy)
