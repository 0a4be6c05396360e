"""Text for people: what came from flows and files is made harmless before a terminal sees it."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from typing import Any, Final

from flowmetal.values import Failure, Wire

_OF_AN_EXCERPT: Final = re.compile(r" *[0-9]* *\||  \S+:[0-9]+(:[0-9]+)?, in \S+$")


def printable(text: str, keep: str = "") -> str:
    """``text`` with every control, bidirectional or invisible character escaped, but for those in ``keep``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _escape(char) for char in text)


def _escape(char: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char)
    if short is not None:
        return short
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def continued(text: str) -> str:
    """Text of a flow after words of ours: its later lines are marked, so that none can pass for a line of ours."""
    return printable(text, keep="\n\t").rstrip("\n").replace("\n", "\n  | ")


def drawn(text: str) -> str:
    """Lines of source or of a call stack as the interpreter writes them; what is of another form is marked."""
    lines = printable(text, keep="\n\t").rstrip("\n").split("\n")
    return "\n".join(line if _OF_AN_EXCERPT.match(line) else f"  | {line}" for line in lines)


def json_text(data: Any, indent: int | None = None) -> str:
    """JSON in which what no terminal should get, and what some take for the end of a line, is escaped."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    # Only a string holds such a character, but for the line ends of the indentation; escapes of JSON are UTF-16.
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def cut(text: str, limit: int) -> str:
    """``text``, its end replaced by ``…`` when it is longer than ``limit`` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def show_seconds(seconds: float) -> str:
    """A length of time in at most seven characters: ``0.012s``, ``3.4s``, ``2m05s``, ``3h12m``, ``5d01h``."""
    if seconds < 1:
        return f"{seconds:.3f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, below, size in (("m", "s", 60), ("h", "m", 3_600), ("d", "h", 86_400)):
        rest = {"s": 1, "m": 60, "h": 3_600}[below]
        if unit == "d" or whole < size * {"m": 60, "h": 24}[unit]:
            return f"{whole // size}{unit}{whole % size // rest:02}{below}"
    return ""


def show_moment(at_ms: int) -> str:
    """A moment in local time: ``2030-01-31 12:00:00``."""
    return f"{datetime.fromtimestamp(at_ms / 1_000):%Y-%m-%d %H:%M:%S}"


def rfc3339(at_ms: int) -> str:
    """A moment in UTC with milliseconds: ``2030-01-31T12:00:00.000Z``."""
    moment = datetime.fromtimestamp(at_ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03}Z"


def show_bytes(count: int) -> str:
    """A size as people say it: ``812 B``, ``4.0 KiB``, ``1.2 GiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1_024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1_024
    return f"{size:.1f} TiB"


def with_home(command: str, home: str | None) -> str:
    """A command for the same home as this one was given."""
    return f"{command} --home {shlex.quote(home)}" if home else command


# -- values --------------------------------------------------------------------------------------------


def show_value(wire: Wire, limit: int = 80) -> str:
    """One line as the language would write the value, cut at ``limit`` characters."""
    return cut(printable(_value(wire, limit)), limit)


def show_call(args: list[Wire], kwargs: list[Wire], limit: int = 80) -> str:
    """The arguments of a call: ``"a.csv", wanted = 5``; ``kwargs`` are flat name, value pairs."""
    parts = [_value(each, limit) for each in args[: limit // 2]]
    parts += [f"{kwargs[at]} = {_value(kwargs[at + 1], limit)}" for at in range(0, min(len(kwargs), limit), 2)]
    return cut(printable(", ".join(parts)), limit)


def _value(wire: Wire, limit: int) -> str:
    """``limit`` only bounds the work: no part that would be cut off is written."""
    if wire is None or isinstance(wire, bool | int | float):
        return repr(wire)
    if isinstance(wire, str):
        return json.dumps(wire[: limit + 1], ensure_ascii=False)
    if isinstance(wire, list):
        return f"[{_items(wire, limit)}]"
    ((tag, payload),) = wire.items()
    if tag in ("int", "float"):
        return str(payload)
    if tag == "tuple":
        return f"({_items(payload, limit)}{',' if len(payload) == 1 else ''})"
    if tag == "dict":
        return f"{{{_pairs(payload, limit, ': ')}}}"
    if tag == "struct":
        return f"struct({_pairs(payload, limit, ' = ')})"
    if tag == "result":
        return f"Ok({_value(payload[1], limit)})" if payload[0] else f"Err({_value(payload[2], limit)})"
    if tag == "failure":
        return f"{payload[0]}: {payload[1]}"
    if tag == "task":
        return f"task #{payload[0]} {payload[1]}"
    return f"{tag} {str(payload[0]).rpartition(':')[2]}"


def _items(items: list[Wire], limit: int) -> str:
    text: list[str] = []
    left = limit
    for item in items:
        if left <= 0:
            break
        text.append(_value(item, left))
        left -= len(text[-1]) + 2
    return ", ".join(text)


def _pairs(items: list[Wire], limit: int, between: str) -> str:
    text: list[str] = []
    left = limit
    for at in range(0, len(items), 2):
        if left <= 0:
            break
        key = items[at] if between == " = " else _value(items[at], left)
        text.append(f"{key}{between}{_value(items[at + 1], left)}")
        left -= len(text[-1]) + 2
    return ", ".join(text)


def show_failure_line(failure: Failure, limit: int = 160) -> str:
    """A failure in one line: ``Err(denied) reading is not granted``."""
    return cut(f"Err({printable(failure.kind)}) {printable(failure.message)}", limit)
