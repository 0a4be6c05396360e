"""What the interpreter says of an error, as data.

The binding gives one text, built of a traceback, a message, a place and a drawn excerpt:

    Traceback (most recent call last):
      * //etl.flow:4, in <module>
          f(0)
    error: Index `5` is out of bound
     --> //etl.flow:2:5
      |
    2 | x = [1][5]
      |     ^^^^^^
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from flowmetal.errors import LanguageError
from flowmetal.language.drawing import draw
from flowmetal.language.hints import hint_for, without_guess
from flowmetal.language.labels import is_carried, is_prelude, short_name

_PLACE: Final = re.compile(r"^ *--> (?P<file>.+?):(?P<line>\d+):(?P<column>\d+)", re.MULTILINE)
_FRAME: Final = re.compile(r"^  \* (?P<file>.+?):(?P<line>\d+), in (?P<name>.+)$", re.MULTILINE)
_MESSAGE: Final = re.compile(r"^error: (?P<message>.*?)(?=^ *--> |\Z)", re.MULTILINE | re.DOTALL)
_EXPECTED: Final = re.compile(r", expected one of (?P<list>.{80,})$", re.DOTALL)
_HOST_ERROR: Final = re.compile(r"^(?:error: )?(?:\w+\.)*(?:HostError|PrimitiveError): ")
_MAX_TRACE: Final = 4_000
_MAX_MESSAGE: Final = 2_000
_MAX_EXCERPT: Final = 2_000

_REWRITTEN: Final = [
    (
        re.compile(r"^Missing (?:named-only )?parameter `(\w+)` for call to `(?:.*\.flow\.)?([\w.]+)`"),
        r"`\2` needs the argument `\1`",
    ),
    (
        re.compile(r"^Found (\d+) extra positional argument\(s\) for call to (?:.*\.flow\.)?([\w.]+)"),
        r"`\2` got \1 more by position than it takes",
    ),
    (
        re.compile(r"^Found ((?:`\w+` )*`\w+`) ?extra named parameter\(s\) for call to (?:.*\.flow\.)?([\w.]+)"),
        r"`\2` does not take \1",
    ),
    (re.compile(r"^(Value `.{80}).*?` of type", re.DOTALL), r"\1…` of type"),
    (re.compile(r"^Value `(.*)` of type `string`", re.DOTALL), r'Value `"\1"` of type `string`'),
    (re.compile(r"^Error unpacking value for parameter `a\d` of type `int$"), "an int that is too large"),
    (re.compile(r"^Module symbol `(\w+)` is not exported$"), r"the module has no `\1` for others"),
]


__all__ = ["Diagnostic", "diagnose", "draw", "line_in", "modules_of", "site_of"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error in flow text: ``place`` is ``file:line:column``, ``trace`` the user's frames, outermost first.

    A single frame that is the place is left out.
    """

    message: str
    place: str = ""
    excerpt: str = ""
    hint: str = ""
    trace: str = ""

    def to_error(self) -> LanguageError:
        """The same as an error to raise."""
        return LanguageError(self.message, place=self.place, excerpt=self.excerpt, remedy=self.hint)

    def to_data(self) -> list[str]:
        """The fields as plain data, for a frame."""
        return [self.message, self.place, self.excerpt, self.hint, self.trace]

    @staticmethod
    def of_error(error: LanguageError) -> Diagnostic:
        """The diagnostic of an error that the loader itself raised."""
        return Diagnostic(error.message, error.place, error.excerpt, error.remedy)


def diagnose(text: str, sources: Mapping[str, str], message: str = "", hint: str = "") -> Diagnostic:
    """Data from the interpreter's text; ``message`` overrides what it says, where the host knows better.

    ``sources`` are the texts of the program's modules by label: an error that surfaces inside the prelude
    is shown at the line of the program that called it.
    """
    frames = [frame for frame in _FRAME.finditer(text) if not _hidden(frame["file"])]
    trace = _folded([f"  {short_name(f['file'])}:{f['line']}, in {f['name']}" for f in frames])[-_MAX_TRACE:]
    place, excerpt, column = _where(text, frames, sources)
    if len(frames) == 1 and ":".join(place.split(":")[:2]) == f"{short_name(frames[0]['file'])}:{frames[0]['line']}":
        trace = ""  # it would only repeat the place
    line = excerpt.split("\n")[1].partition("| ")[2] if excerpt.count("\n") else ""
    raw = _raw(text)
    hint = hint or ("" if message else hint_for(raw, line, column))
    return Diagnostic(message or _readable(raw), place, excerpt, hint, trace)


def _where(text: str, frames: list[re.Match[str]], sources: Mapping[str, str]) -> tuple[str, str, int]:
    """Place, excerpt and column of an error: where it is reported, or in the innermost frame of the program.

    Where nothing of the program is on the stack, a package that is carried made the flow: then the place is there.
    """
    place = _PLACE.search(text)
    carried = [frame for frame in _FRAME.finditer(text) if _is_of_package(frame["file"])]
    if place and (not _hidden(place["file"]) or (not frames and _is_of_package(place["file"]))):
        where, line, column = place["file"], int(place["line"]), int(place["column"])
        excerpt = text[place.end() :].strip("\n")
        excerpt = excerpt if len(excerpt) < _MAX_EXCERPT else draw(sources.get(where, ""), line)
        return f"{short_name(where)}:{line}:{column}", excerpt, column
    if frames or carried:
        innermost = (frames or carried)[-1]
        where, line = innermost["file"], int(innermost["line"])
        return f"{short_name(where)}:{line}", draw(sources.get(where, ""), line), 0
    return "", "", 0


def _is_of_package(file: str) -> bool:
    """Whether a module is of a package that is carried and meant to be read: not of the prelude."""
    return is_carried(file) and not is_prelude(file)


def _hidden(file: str) -> bool:
    return is_carried(file) or file.startswith("<")


def _raw(text: str) -> str:
    """The message of an interpreter's text, as it stands there."""
    found = _MESSAGE.search(text)
    return (found["message"] if found else text).strip()


def _readable(raw: str) -> str:
    """The message as a person reads it: no names of the machinery, no lists of tokens, no endless values."""
    said = without_guess(_HOST_ERROR.sub("", raw).removeprefix("Parse error: "))
    expected = _EXPECTED.search(said)
    if expected:
        said = said[: expected.start()]
    said = said.removeprefix("fail: ")
    for pattern, better in _REWRITTEN:
        said = pattern.sub(better, said)
    return said[:_MAX_MESSAGE]


@lru_cache(maxsize=2_048)
def site_of(stack: str) -> str:
    """``file:line`` of the innermost frame of a ``call_stack()`` text that is the program's.

    Without one, of the innermost in a package that is carried; "" if all are the prelude's.
    """
    frames = _FRAME.findall(stack)
    own = [frame for frame in frames if not _hidden(frame[0])] or [each for each in frames if _is_of_package(each[0])]
    return f"{short_name(own[-1][0])}:{own[-1][1]}" if own else ""


@lru_cache(maxsize=2_048)
def modules_of(stack: str, main: str) -> tuple[str, ...]:
    """The labels in a ``call_stack()`` text, outermost first, each once, without the prelude's and ``main``.

    Every frame counts: who calls lends no authority that it does not have.
    """
    found = dict.fromkeys(frame[0] for frame in _FRAME.findall(stack))
    return tuple(label for label in found if label != main and not _hidden(label))


def line_in(label: str, stack: str) -> int:
    """The line of a module at which it called, by a ``call_stack()`` text; 0 when the module is not in it."""
    for frame in reversed(_FRAME.findall(stack)):
        if frame[0] == label:
            return int(frame[1])
    return 0


def _folded(lines: list[str]) -> str:
    """Lines with each run of equal ones, as recursion makes them, told once with its count."""
    folded: list[str] = []
    for line, group in groupby(lines):
        count = sum(1 for _ in group)
        folded.append(line if count == 1 else f"{line}  ({count} times)")
    return "\n".join(folded)
