"""Strict JSON into values.

Python's decoder does the work; what it does not promise is added: a depth checked before it recurses, no
number silently infinite, no half surrogate, and errors in words of our own (``_first_fault``), because Python's
messages and positions change between its versions.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NoReturn

from flowmetal.errors import ValueCodecError
from flowmetal.values import MAX_BYTES, MAX_DEPTH, MAX_INT_DIGITS

_STRINGS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_ESCAPES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>u[dD][89a-fA-F])|.)", re.DOTALL
)
_SPACE = re.compile(r"[ \t\n\r]*")
_TOKEN = re.compile(
    r'(?P<string>"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>true|false|null)|(?P<mark>[\[\]{}:,])"
)
_EXPECTED: Final = {
    "value": "a value",
    "first": "a value or `]`",
    "key": "a key in double quotes",
    "first key": "a key in double quotes or `}`",
    "colon": "`:`",
    "more [": "`,` or `]`",
    "more {": "`,` or `}`",
    "end": "the end of the text",
}
_HINTS: Final = (
    ("'", "JSON strings take double quotes"),
    ("/", "JSON has no comments"),
    ("NaN", "JSON has no NaN; write null"),
    ("Infinity", "JSON has no infinity; write null"),
    ("-Infinity", "JSON has no infinity; write null"),
    ("True", "JSON writes true"),
    ("False", "JSON writes false"),
    ("None", "JSON writes null"),
    ("\ufeff", "the text begins with a byte-order mark; take it off with text.removeprefix"),
)


def show(text: str, limit: int = 40) -> str:
    """Text inside a message: quoted, escaped, short."""
    return json.dumps(text if len(text) <= limit else text[: limit - 1] + "…", ensure_ascii=False)


def too_large(text: str, limit_bytes: int = MAX_BYTES) -> bool:
    """Whether a text takes more than ``limit_bytes`` in UTF-8."""
    return len(text) * 4 > limit_bytes and len(text.encode()) > limit_bytes


def read_json_text(text: str) -> Any:
    """The Python data of a strict JSON text: ints exact, the last of equal keys wins.

    Raises:
        ValueCodecError: not JSON (line and column), a number no int or float can hold, half a surrogate pair, a
            nesting over ``MAX_DEPTH``, a text over ``MAX_BYTES``.
    """
    if too_large(text):
        raise ValueCodecError(f"the text is over {MAX_BYTES:,} bytes, the limit; split it first")
    _check_depth(text)
    try:
        value = _DECODER.decode(text)
    except ValueError:
        raise _json_error(text) from None
    if _SURROGATE_ESCAPE.search(text) and _first_fault(text):
        raise _json_error(text)
    return value


def _refuse(literal: str) -> NoReturn:
    raise ValueError(literal)


def _json_int(literal: str) -> int:
    if len(literal) > MAX_INT_DIGITS and len(literal.lstrip("-")) > MAX_INT_DIGITS:
        raise ValueError(literal)
    return int(literal)


def _json_float(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise ValueError(literal)
    return value


_DECODER: Final = json.JSONDecoder(parse_int=_json_int, parse_float=_json_float, parse_constant=_refuse)


def _check_depth(text: str) -> None:
    """Raise for a nesting that the decoder would follow by recursion; brackets inside strings do not count."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NOT_BRACKETS.sub("", _STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise ValueCodecError(f"the text is nested deeper than {MAX_DEPTH}, the limit")


def _json_error(text: str) -> ValueCodecError:
    fault = _first_fault(text)
    if fault is None:
        return ValueCodecError("the text is not JSON")
    position, message = fault
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return ValueCodecError(f"line {line} column {column}: {message}")


def _first_fault(text: str) -> tuple[int, str] | None:
    """Where and why a text is not acceptable JSON; used for errors only, so that their words are our own.

    Python's messages and positions change between its versions.
    """
    state, open_brackets, position = "value", "", 0
    while True:
        position = _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches always
        token = _TOKEN.match(text, position)
        if token is None:
            if position == len(text) and state == "end":
                return None
            return _bad_token(text, position, state)
        kind, lexeme = token.lastgroup, token[0]
        if kind in ("number", "string") and (fault := _bad_scalar(lexeme)):
            return position + fault[0], fault[1]
        following = _next_state(state, kind or "", lexeme, open_brackets)
        if following is None:
            return position, f"{show(lexeme)} where {_EXPECTED[state]} was expected"
        state, open_brackets = following
        position = token.end()


def _next_state(state: str, kind: str, lexeme: str, open_brackets: str) -> tuple[str, str] | None:
    """State and open brackets after a token, or None where the token may not stand."""
    inner = open_brackets[-1:]
    wants_value = state in ("value", "first")
    if kind == "string" and state in ("key", "first key"):
        return "colon", open_brackets
    if kind != "mark":
        return (f"more {inner}" if inner else "end", open_brackets) if wants_value else None
    if lexeme in "[{":
        return ("first" if lexeme == "[" else "first key", open_brackets + lexeme) if wants_value else None
    if lexeme == ":":
        return ("value", open_brackets) if state == "colon" else None
    if lexeme == ",":
        return ("value" if inner == "[" else "key", open_brackets) if state.startswith("more") else None
    pair = {"]": ("[", "first"), "}": ("{", "first key")}[lexeme]
    if inner != pair[0] or state not in (pair[1], f"more {inner}"):
        return None
    outer = open_brackets[:-1]
    return (f"more {outer[-1]}" if outer else "end"), outer


def _bad_token(text: str, position: int, state: str) -> tuple[int, str]:
    rest = text[position : position + 12]
    if not rest:
        return position, f"the text ends where {_EXPECTED[state]} was expected"
    for start, hint in _HINTS:
        if rest.startswith(start):
            return position, hint
    if rest.startswith('"'):
        return _bad_string(text, position)
    return position, f"{show(rest)} where {_EXPECTED[state]} was expected"


def _bad_string(text: str, position: int) -> tuple[int, str]:
    part = re.compile(r'[^"\\\x00-\x1f]+|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
    end = position + 1
    while found := part.match(text, end):
        end = found.end()
    if end == len(text):
        return position, "a string that does not end"
    if text[end] == "\\":
        return end, f"{show(text[end : end + 6])} is no escape of JSON"
    return end, f"a control character inside a string; write it as \\u{ord(text[end]):04x}"


def _bad_scalar(lexeme: str) -> tuple[int, str] | None:
    """Offset and reason for a token that is JSON but no value of the language."""
    if lexeme[0] == '"':
        for escape in _ESCAPES.finditer(lexeme):
            if escape["lone"]:
                return escape.start(), "half a surrogate pair, which is no character"
        return None
    try:
        _json_float(lexeme) if set(lexeme) & set(".eE") else _json_int(lexeme)
    except ValueError:
        if set(lexeme) & set(".eE"):
            return 0, f"the number {show(lexeme)} is too large for a float"
        return 0, f"an int of {len(lexeme.lstrip('-')):,} digits; the limit is {MAX_INT_DIGITS:,}"
    return None
