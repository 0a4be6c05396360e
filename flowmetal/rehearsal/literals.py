"""Values as the language writes them, so that they can stand in a flow file."""

from __future__ import annotations

import keyword
import re
from typing import Final

from flowmetal.values import Wire

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """A string literal on one line."""
    return f'"{text if text.isprintable() and not set(text) & {chr(34), chr(92)} else "".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def literal(wire: Wire) -> str:
    """An expression of the language that gives the value; of a flow or a task, which have none, what it is."""
    if wire is None or isinstance(wire, bool | int | float):
        return repr(wire)
    if isinstance(wire, str):
        return quoted(wire)
    if isinstance(wire, list):
        return f"[{', '.join(map(literal, wire))}]"
    ((tag, payload),) = wire.items()
    return _tagged(tag, payload)


def _tagged(tag: str, payload: list[Wire] | str) -> str:
    if isinstance(payload, str):
        return payload if tag == "int" else f"float({quoted(payload)})"
    if tag == "tuple":
        return f"({', '.join(map(literal, payload))}{',' if len(payload) == 1 else ''})"
    if tag == "dict":
        return f"{{{', '.join(f'{literal(name)}: {literal(value)}' for name, value in _pairs(payload))}}}"
    if tag == "struct":
        return called("struct", [], [(str(name), value) for name, value in _pairs(payload)])
    if tag == "result":
        return f"Ok({literal(payload[1])})" if payload[0] else f"Err({literal(payload[2])})"
    if tag == "failure":
        names = ("kind", "message", "details", "flow", "source", "trace", "cause")
        empty: tuple[Wire, ...] = ({"dict": []}, "", None)
        fields = list(zip(names, payload, strict=True))
        return called("Failure", [], fields[:2] + [(name, value) for name, value in fields[2:] if value not in empty])
    if tag == "secret":
        return called("Secret", [], [("name", payload[0]), ("fingerprint", payload[1])])
    if tag == "effect":
        return f"effects.{payload[0]}"
    return f"{tag} {payload[0]}"


def _pairs(flat: list[Wire]) -> list[tuple[Wire, Wire]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def called(function: str, by_position: list[Wire], by_name: list[tuple[str, Wire]]) -> str:
    """A call, with any texts for names: a name that none can be written as is one of a dict."""
    args = list(map(literal, by_position))
    if all(_NAME.fullmatch(name) and not keyword.iskeyword(name) and name != "load" for name, _ in by_name):
        args += [f"{name} = {literal(value)}" for name, value in by_name]
    else:
        args.append(f"**{{{', '.join(f'{quoted(name)}: {literal(value)}' for name, value in by_name)}}}")
    return f"{function}({', '.join(args)})"
