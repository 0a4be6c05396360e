"""A look at source text before the interpreter gets it.

The parser has no limit on nesting and ends the process when its native stack does, so what is nested or chained
too deep is refused here, by reading characters only.  The same walk finds the identifiers that a module uses, of which the loader takes
those that are global names.
"""

from __future__ import annotations

import re
from typing import Final

from flowmetal.errors import LanguageError
from flowmetal.language.drawing import draw

MAX_SOURCE_BYTES: Final = 512 * 1024
MAX_LITERAL_BYTES: Final = 64 * 1024
MAX_NESTING: Final = 200
MAX_UNARY: Final = 100
MAX_CHAIN: Final = 2_000
MAX_IDENTIFIER: Final = 1_000

_TOKEN: Final = re.compile(
    r"""
      (?P<comment>\#[^\n]*)
    | (?P<string>[rRbBfF]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    | (?P<newline>\n[ ]*)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<operator>[-+~]|[*/%|&^<>=!]+)
    | (?P<other>[^\s])
    | (?P<space>\s)
    """,
    re.VERBOSE | re.DOTALL,
)
_BINARY_WORDS: Final = frozenset({"and", "or", "in", "if", "else"})
KEYWORDS: Final = frozenset(
    {
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
    }
)


def decode_source(data: bytes, label: str) -> str:
    """The text of a flow file's bytes.

    Raises:
        LanguageError: too large, not UTF-8, or with characters that hide what a reader sees.
    """
    if len(data) > MAX_SOURCE_BYTES:
        raise LanguageError(f"the file is {len(data):,} bytes; the limit is {MAX_SOURCE_BYTES:,}", place=label)
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
    for at, character in enumerate(text):
        if character in _FORBIDDEN:
            line = text.count("\n", 0, at) + 1
            raise LanguageError(
                f"the character U+{ord(character):04X} is not allowed in a flow file", place=f"{label}:{line}"
            )
    return text.replace("\r\n", "\n")


# NUL, a lone carriage return, and the controls that make text read otherwise than it runs.
_FORBIDDEN: Final = frozenset("\0\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def scan(text: str, label: str) -> set[str]:
    """The identifiers of a source text.

    Raises:
        LanguageError: nested or chained deeper than the parser's stack is known to bear.
    """
    names: set[str] = set()
    walk = _Walk(label)
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        token = match.group()
        if kind == "name":
            if len(token) > MAX_IDENTIFIER:
                raise walk.error(f"an identifier longer than {MAX_IDENTIFIER} characters")
            names.add(token)
            walk.word(token)
        elif kind == "newline":
            walk.newline(token, text, match.end())
        elif kind == "string":
            if len(token) > MAX_LITERAL_BYTES:
                raise walk.error(f"a string literal longer than {MAX_LITERAL_BYTES:,} bytes")
            walk.line += token.count("\n")
            walk.operand()
        elif kind in _STEPS:
            _STEPS[kind](walk, token)
        elif token == "\t":
            raise LanguageError(
                "a tab", place=f"{walk.label}:{walk.line}", excerpt=draw(text, walk.line), remedy="indent with spaces"
            )
    walk.end(text)
    return names - KEYWORDS


class _Walk:
    """Counts what costs the parser stack: brackets, indents, prefixes, chains."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.line = 1
        self.brackets: list[tuple[str, int, int]] = []
        self.is_torn = False
        self.chain = 0
        self.prefixes = 0
        self.after_operand = False

    def error(self, what: str) -> LanguageError:
        return LanguageError(f"{what}, more than the parser can bear", place=f"{self.label}:{self.line}")

    def open(self, token: str) -> None:
        self.brackets.append((token, self.line, self.chain))
        self.chain = 0
        if len(self.brackets) > MAX_NESTING:
            raise self.error(f"brackets nested deeper than {MAX_NESTING}")
        self.prefixes = 0
        self.after_operand = False

    def close(self, _token: str) -> None:
        if self.brackets:
            self.chain = self.brackets.pop()[2]
        self.operand()

    def operand(self, _token: str = "") -> None:
        self.prefixes = 0
        self.after_operand = True

    def word(self, token: str) -> None:
        if token in ("not", "lambda"):
            self.prefix()
        elif token in _BINARY_WORDS:
            self.binary()
        else:
            self.operand()

    def operator(self, token: str) -> None:
        if self.after_operand or token not in "+-~":
            self.binary()
        else:
            self.prefix()

    def prefix(self) -> None:
        self.prefixes += 1
        self.after_operand = False
        if self.prefixes > MAX_UNARY:
            raise self.error(f"more than {MAX_UNARY} prefix operators in a row")

    def binary(self) -> None:
        self.chain += 1
        self.prefixes = 0
        self.after_operand = False
        if self.chain > MAX_CHAIN:
            raise self.error(f"a chain of more than {MAX_CHAIN:,} operators")

    def other(self, token: str) -> None:
        if token == ".":
            self.binary()
        elif token in "\"'":
            self.is_torn = True  # a text that does not end: the parser says so, and brackets cannot be told any more
        elif token in ",:;":
            self.after_operand = False
            if token != ":":
                self.chain = 0

    def end(self, text: str) -> None:
        """At the end of the text: a bracket that is still open is named where it stands, not where the parser gave up."""
        if self.brackets and not self.is_torn:
            bracket, line, _ = self.brackets[-1]
            raise LanguageError(
                f"`{bracket}` is not closed", place=f"{self.label}:{line}", excerpt=draw(text, line), remedy="close it"
            )

    def newline(self, token: str, text: str, end: int) -> None:
        self.line += 1
        indent = len(token) - 1
        if indent > MAX_NESTING and not self.brackets and text[end : end + 1] not in ("\n", "#", ""):
            raise self.error(f"indented deeper than {MAX_NESTING} columns")
        if not self.brackets:
            self.chain = 0
            self.prefixes = 0
            self.after_operand = False


_STEPS: Final = {
    "open": _Walk.open,
    "close": _Walk.close,
    "number": _Walk.operand,
    "operator": _Walk.operator,
    "other": _Walk.other,
}
