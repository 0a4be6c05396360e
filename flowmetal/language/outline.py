"""What a module offers, read from its text alone: functions with their doc comments, and who implements a flow.

A name may also be passed on: ``area = _area``, where ``_area`` was loaded from another module, which has the text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowmetal.language.scan import TOKEN

_DEF: Final = re.compile(r"^def ([A-Za-z_]\w*)\s*(?=\()", re.MULTILINE)
_FLOW: Final = re.compile(r"^([A-Za-z]\w*)\s*=\s*flow\(\s*(\w+)", re.MULTILINE)
_ALIAS: Final = re.compile(r"^([A-Za-z]\w*)[ ]*=[ ]*(\w+)[ ]*$", re.MULTILINE)
_LOAD: Final = re.compile(r"^load[ ]*\(", re.MULTILINE)
_QUOTES: Final = re.compile(r'[rR]?("""|\'\'\'|"|\')')


@dataclass(frozen=True, slots=True)
class Function:
    """A function at the top of a module: ``signature`` on one line without ``def``, ``doc`` as it is meant."""

    name: str
    signature: str
    doc: str
    line: int


@dataclass(frozen=True, slots=True)
class PassedOn:
    """A name that a module passes on: ``load`` is what is written of where it comes from, ``theirs`` its name there."""

    name: str
    load: str
    theirs: str
    line: int


@dataclass(frozen=True, slots=True)
class Outline:
    """A module: the comment that it begins with, its functions in order, and by global name who implements a flow."""

    comment: str
    functions: tuple[Function, ...]
    implementations: tuple[tuple[str, str], ...]
    passed_on: tuple[PassedOn, ...] = ()

    def doc_of(self, flow: str) -> str:
        """The doc comment of the function that implements a flow, by the flow's global name."""
        implementation = dict(self.implementations).get(flow)
        return next((each.doc for each in self.functions if each.name == implementation), "")


def outline(text: str) -> Outline:
    """The outline of a module that has been loaded before, so that it is known to be one."""
    bare = _without_strings(text)
    functions = []
    for found in _DEF.finditer(bare):
        signature, end = _signature(text, found.end())
        functions.append(Function(found[1], f"{found[1]}{signature}", _doc(text, end), _line(text, found)))
    loaded = {own: there for found in _LOAD.finditer(bare) for own, there in _loaded(text, found.end())}
    passed_on = [
        PassedOn(found[1], *loaded[found[2]], _line(text, found))
        for found in _ALIAS.finditer(bare)
        if found[2] in loaded
    ]
    return Outline(_comment(text), tuple(functions), tuple(_FLOW.findall(text)), tuple(passed_on))


def _line(text: str, found: re.Match[str]) -> int:
    return text.count("\n", 0, found.start()) + 1


def _loaded(text: str, start: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """What one load binds: a name here, what is loaded, and the name there."""
    load = own = ""
    for match in TOKEN.finditer(text, start):
        word = match.group()
        if match.lastgroup == "close":
            return
        if match.lastgroup == "name":
            own = word
        elif match.lastgroup == "string":
            word = word.strip("\"'")
            if load:
                yield own or word, (load, word)
            load, own = load or word, ""


def _without_strings(text: str) -> str:
    """``text`` with what stands in strings blanked, every character at its place."""
    parts = []
    for match in TOKEN.finditer(text):
        parts.append(re.sub(r"[^\n]", "x", match.group()) if match.lastgroup == "string" else match.group())
    return "".join(parts)


def _signature(text: str, start: int) -> tuple[str, int]:
    """What stands from the opening bracket to the colon, on one line, and where it ends."""
    depth = 0
    parts: list[str] = []
    for match in TOKEN.finditer(text, start):
        kind, token = match.lastgroup, match.group()
        depth += (kind == "open") - (kind == "close")
        if token == ":" and depth == 0:
            return "".join(parts).strip(), match.end()
        if kind in ("newline", "space"):
            parts.append("" if "".join(parts[-2:])[-1:] in (" ", "(", "") else " ")
        elif kind == "close" and depth == 0:
            parts = ["".join(parts).rstrip().removesuffix(","), token]
        elif kind != "comment":
            parts.append(token)
    return "".join(parts), len(text)


def _doc(text: str, start: int) -> str:
    """The string that a body begins with, without its indentation."""
    for match in TOKEN.finditer(text, start):
        if match.lastgroup == "string":
            token = match.group()
            quotes = _QUOTES.match(token)
            return textwrap.dedent(_indented(token[quotes.end() : -len(quotes[1])])).strip() if quotes else ""
        if match.lastgroup not in ("newline", "space", "comment", "blank"):
            break
    return ""


def _indented(doc: str) -> str:
    """A doc comment whose first line has the indentation of the second."""
    first, newline, rest = doc.partition("\n")
    widths = [len(line) - len(line.lstrip()) for line in rest.split("\n") if line.strip()]
    return " " * min(widths, default=0) + first + newline + rest


def _comment(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(lines).strip()
