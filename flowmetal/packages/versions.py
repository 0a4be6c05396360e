"""Versions of packages, ordered as SemVer 2.0 orders them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import total_ordering

from flowmetal.errors import UsageError
from flowmetal.package_ids import MAX_VERSION, SEMVER, guess_version
from flowmetal.permissions.texts import plain


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A version; ``prerelease`` are the parts after the hyphen, numbers among them as they are written."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()

    @staticmethod
    def parse(text: str) -> Version:
        """The version that ``text`` is.

        Raises:
            UsageError: it is none; says why.
        """
        found = SEMVER.fullmatch(text) if len(text) <= MAX_VERSION else None
        if found is None:
            likely = guess_version(text)
            remedy = "a version has three numbers, such as 1.4.2, or 2.0.0-rc.1 before a release"
            if likely and "+" in text:
                remedy = f"versions of packages have no build metadata: write {likely}"
            elif likely and text[:1] in ("^", "~", ">"):
                remedy = f"write {likely}; in [requires] it means this version or a later one of its line"
            elif likely:
                remedy = f"a version has three numbers: write {likely}"
            raise UsageError(f"`{plain(text)}` is no version", remedy=remedy)
        major, minor, patch, prerelease = found.groups()
        return Version(int(major), int(minor), int(patch), tuple(prerelease.split(".")) if prerelease else ())

    def __str__(self) -> str:
        numbers = f"{self.major}.{self.minor}.{self.patch}"
        return f"{numbers}-{'.'.join(self.prerelease)}" if self.prerelease else numbers

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self._key() < other._key()

    def _key(self) -> tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]:
        parts = tuple(
            (False, int(part), "") if part.isdigit() else (True, 0, part) for part in self.prerelease
        )  # numbers come before words
        return self.major, self.minor, self.patch, not self.prerelease, parts
