"""A look at source text before the interpreter gets it.

Reads characters only.  What is nested too deep for the interpreter is refused (see ``depth``), and the identifiers
that a module uses are collected, of which the loader takes those that are global names.
"""

from __future__ import annotations

import re
from typing import Final

from flowmetal.errors import LanguageError
from flowmetal.language.depth import STEPS, Walk
from flowmetal.language.drawing import draw

MAX_SOURCE_BYTES: Final = 512 * 1024
MAX_LITERAL_BYTES: Final = 64 * 1024
MAX_IDENTIFIER: Final = 1_000

TOKEN: Final = re.compile(
    r"""
      (?P<comment>\#[^\n]*)
    | (?P<string>[rRbBfF]{0,2}(?:
          \"\"\"(?:\\.|[^\\])*?(?:\"\"\"|\\?\Z) | '''(?:\\.|[^\\])*?(?:'''|\\?\Z)
        | "(?:\\.|[^"\\\n])*(?:"|(?=\n)|\\?\Z) | '(?:\\.|[^'\\\n])*(?:'|(?=\n)|\\?\Z)))
    | (?P<newline>\n(?:[ \t]*(?=[\n\#]|\Z)|[ ]*))
    | (?P<blank>\A[ \t]+(?=[\n\#]|\Z))
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<operator>[-+~]|[*/%|&^<>=!]+)
    | (?P<other>[^\s])
    | (?P<tab>\t)
    | (?P<space>[^\S\n\t]+)
    """,
    re.VERBOSE | re.DOTALL,
)
"""The pieces of a source text, as far as they matter to who only reads it."""

KEYWORDS: Final = frozenset(
    [
        "and",
        "or",
        "not",
        "in",
        "if",
        "elif",
        "else",
        "for",
        "def",
        "return",
        "lambda",
        "load",
        "pass",
        "break",
        "continue",
    ]
)
# NUL, a lone carriage return, and the controls that make text read otherwise than it runs.
_FORBIDDEN: Final = re.compile("[\0\r\u202a-\u202e\u2066-\u2069]")


def decode_source(data: bytes, label: str) -> str:
    """The text of a flow file's bytes.

    Raises:
        LanguageError: too large, not UTF-8, or with characters that hide what a reader sees.
    """
    if len(data) > MAX_SOURCE_BYTES:
        raise LanguageError(
            f"the file is larger than {MAX_SOURCE_BYTES:,} bytes",
            place=label,
            remedy="keep data in files of its own, and read them with `fctx.actions.read`",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LanguageError(
            f"not UTF-8: byte 0x{data[error.start]:02x} in line {line}",
            place=f"{label}:{line}",
            remedy="save the file as UTF-8",
        ) from None
    if text.startswith("\ufeff"):
        raise LanguageError(
            "the file begins with a byte order mark", place=f"{label}:1", remedy="save it as UTF-8 without BOM"
        )
    text = text.replace("\r\n", "\n")
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        line = text.count("\n", 0, forbidden.start()) + 1
        what = (
            "a carriage return by itself"
            if forbidden.group() == "\r"
            else f"the character U+{ord(forbidden.group()):04X}"
        )
        remedy = (
            "lines end in \\n or \\r\\n"
            if forbidden.group() == "\r"
            else "take it out; in a text write it as an escape"
        )
        raise LanguageError(f"{what} is not allowed in a flow file", place=f"{label}:{line}", remedy=remedy)
    return text


def scan(text: str, label: str) -> set[str]:
    """The identifiers of a source text.

    Raises:
        LanguageError: deeper than the interpreter's stack is known to bear; a tab; a bracket that is not closed.
    """
    names: set[str] = set()
    walk = Walk(label)
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        token = match.group()
        if kind == "name":
            if len(token) > MAX_IDENTIFIER:
                raise walk.error(f"an identifier longer than {MAX_IDENTIFIER:,} characters", "give it a shorter name")
            names.add(token)
            walk.word(token)
        elif kind == "newline":
            walk.newline(len(token) - 1, text[match.end() : match.end() + 1] in ("\n", "#", ""))
        elif kind == "string":
            if len(token) > MAX_LITERAL_BYTES:
                raise walk.error(
                    f"a string literal longer than {MAX_LITERAL_BYTES:,} characters",
                    "keep it in a file, and read it with `fctx.actions.read`",
                )
            walk.string(token)
        elif kind == "tab":
            raise LanguageError(
                "tabs are not allowed",
                place=f"{label}:{walk.line}",
                excerpt=draw(text, walk.line),
                remedy="indent with spaces",
            )
        elif kind in STEPS:
            STEPS[kind](walk, token)
    walk.end(text)
    return names - KEYWORDS


def load_strings(text: str) -> list[tuple[int, str]]:
    """Line and first argument of every ``load`` that begins a statement, as they are written; no escape is resolved."""
    found = []
    line = 1
    last: list[str] = ["\n"]
    for match in TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "string" and last[-3:] == ["\n", "load", "("]:
            found.append((line, token.lstrip("rRbBfF").strip("\"'")))
        if kind == "newline" and last[-1] == "(":
            pass  # a line break inside of the brackets
        elif kind not in ("comment", "space", "tab", "blank"):
            last = [*last[-2:], "\n" if kind == "newline" or token == ";" else token]
        line += token.count("\n")
    return found
