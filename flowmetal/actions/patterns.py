"""Patterns of paths: ``*``, ``?``, ``[…]`` inside a name, ``**`` for any number of directories.

A pattern is a list of parts, one for each name on the way.  A walk carries a set of *positions*, the parts that may
come next; a name moves each of them, and the set never grows beyond the parts there are.  Inside a name the matcher
goes back to the last ``*`` only, which is enough, so that no pattern takes longer than length times length.

Names are compared by code points.  A name that begins with a dot is meant only by a part that does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_PATTERN: Final = 256
"""The longest pattern, in characters."""

_ANY_DIRECTORIES: Final = "**"
_STAR: Final = "*"


@dataclass(frozen=True, slots=True)
class _OneOf:
    """One character of some ranges, or none of them."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def holds(self, char: str) -> bool:
        """Whether the character is meant."""
        return any(first <= char <= last for first, last in self.ranges) != self.negated


_Token: TypeAlias = str | _OneOf
"""A character, or a set of characters."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What one name must be like: a literal text, or tokens of which None stands for ``*``."""

    literal: str | None
    tokens: tuple[_Token | None, ...] = ()

    def matches(self, name: str) -> bool:
        """Whether the name is like that."""
        if self.literal is not None:
            return name == self.literal
        if name.startswith(".") and self.tokens[0] != ".":
            return False
        return _matches(self.tokens, name)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern; None among the parts stands for ``**``, and is never the last of them."""

    parts: tuple[_Part | None, ...]

    def divided(self) -> tuple[str, Pattern]:
        """The directories with which every path begins that matches, and the pattern of what is in them."""
        names = []
        for part in self.parts[:-1]:
            if part is None or part.literal is None:
                break
            names.append(part.literal)
        return "/".join(names), Pattern(self.parts[len(names) :])

    @property
    def start(self) -> frozenset[int]:
        """The positions before the first name."""
        return self._opened((0,))

    def after(self, positions: frozenset[int], name: str) -> frozenset[int]:
        """The positions after one more name; ``len(parts)`` among them says that the path matches."""
        found = set()
        for position in positions:
            if position == len(self.parts):
                continue
            part = self.parts[position]
            if part is None:
                if not name.startswith("."):
                    found.add(position)
            elif part.matches(name):
                found.add(position + 1)
        return self._opened(found)

    def is_match(self, positions: frozenset[int]) -> bool:
        """Whether the names so far are a path that matches."""
        return len(self.parts) in positions

    def goes_on(self, positions: frozenset[int]) -> bool:
        """Whether more names may follow."""
        return bool(positions - {len(self.parts)})

    def literals(self, positions: frozenset[int]) -> list[str] | None:
        """The only names that may come next, or None when others may."""
        names = []
        for position in positions - {len(self.parts)}:
            part = self.parts[position]
            if part is None or part.literal is None:
                return None
            names.append(part.literal)
        return names

    def _opened(self, positions: Iterable[int]) -> frozenset[int]:
        """With the positions after each ``**``, which may also stand for no directory at all."""
        found = set()
        for position in positions:
            found.add(position)
            if position < len(self.parts) and self.parts[position] is None:
                found.add(position + 1)  # two ** never follow each other
        return frozenset(found)


def parse_pattern(text: str) -> Pattern:
    """The pattern of a text.

    Raises:
        ValueError: it is none; the message says why, as the end of a sentence.
    """
    if not text:
        raise ValueError("the pattern is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"the pattern has more than {MAX_PATTERN:,} characters")
    if "\0" in text:
        raise ValueError("the pattern holds a NUL character")
    if text.startswith("/"):
        raise ValueError("the pattern begins with a slash; it is relative to `path`")
    parts: list[_Part | None] = []
    for name in text.split("/"):
        if name in ("", ".", ".."):
            raise ValueError(f"the pattern has the part `{name}`, and every part is a name or `**`")
        if name != _ANY_DIRECTORIES:
            parts.append(_parse_part(name))
        elif not parts or parts[-1] is not None:
            parts.append(None)
    if parts[-1] is None:
        parts.append(_parse_part(_STAR))
    return Pattern(tuple(parts))


def _parse_part(name: str) -> _Part:
    if _ANY_DIRECTORIES in name:
        raise ValueError(f"`{name}` has `**` beside other characters; `**` is a part by itself")
    if not set(name) & set("*?["):
        return _Part(name)
    tokens: list[_Token | None] = []
    at = 0
    while at < len(name):
        char = name[at]
        at += 1
        if char == _STAR:
            tokens.append(None)
        elif char == "?":
            tokens.append(_OneOf((), negated=True))
        elif char == "[":
            token, at = _parse_set(name, at)
            tokens.append(token)
        else:
            tokens.append(char)
    return _Part(None, tuple(tokens))


def _parse_set(name: str, at: int) -> tuple[_OneOf, int]:
    """The set whose ``[`` ends at ``at``, and where it ends; ``]`` as the first character means itself."""
    negated = name[at : at + 1] in ("!", "^") and bool(name[at : at + 1])
    at += negated
    end = name.find("]", at + 1)
    if end < 0:
        raise ValueError(f"`{name}` has a `[` without `]`; write `[[]` for the character itself")
    inside, ranges = name[at:end], []
    while inside:
        if inside[1:2] == "-" and len(inside) > 2:
            if inside[0] > inside[2]:
                raise ValueError(f"`{name}` has the range {inside[:3]}, which is backwards")
            ranges.append((inside[0], inside[2]))
            inside = inside[3:]
        else:
            ranges.append((inside[0], inside[0]))
            inside = inside[1:]
    return _OneOf(tuple(ranges), negated), end + 1


def _matches(tokens: tuple[_Token | None, ...], name: str) -> bool:
    at = where = 0
    star, tried = -1, 0
    while where < len(name):
        token = tokens[at] if at < len(tokens) else ""
        if at < len(tokens) and token is None:
            star, tried = at, where
            at += 1
        elif token == name[where] or (isinstance(token, _OneOf) and token.holds(name[where])):
            at += 1
            where += 1
        elif star >= 0:
            tried += 1
            at, where = star + 1, tried
        else:
            return False
    return all(token is None for token in tokens[at:])
