"""Two values of an assert, and where they differ."""

from __future__ import annotations

import difflib
from typing import Final

from flowmetal.cli.text import printable
from flowmetal.rehearsal.literals import literal
from flowmetal.values import Failure, Wire

_SHOWN: Final = 4_000
_ONE_LINE: Final = 60


def compared_lines(failure: Failure) -> list[str] | None:
    """Both values of an assert and where they differ; None for another failure."""
    details = failure.details
    flat = details.get("dict") if isinstance(details, dict) else None
    fields = dict(zip(flat[::2], flat[1::2], strict=True)) if flat else {}
    if failure.kind != "failed" or not fields or not set(fields) <= {"got", "wanted"}:
        return None
    got, wanted = (literal(fields[name]) if name in fields else None for name in ("got", "wanted"))
    if got is None or wanted is None or max(len(got), len(wanted)) <= _ONE_LINE:
        named = [("got", got), ("wanted", wanted)]
        return [f"  {name + ':':<7} {printable(text[:_SHOWN])}" for name, text in named if text is not None]
    lines = difflib.unified_diff(spread(fields["wanted"]), spread(fields["got"]), "wanted", "got", lineterm="", n=2)
    kept = "\n".join(f"  {printable(line)}" for line in lines if not line.startswith("@@"))
    return kept[:_SHOWN].split("\n")


def spread(wire: Wire, indent: str = "") -> list[str]:
    """A value over several lines, so that two of them can be compared line by line."""
    if isinstance(wire, str) and "\n" in wire:
        return [indent + literal(line) for line in wire.splitlines(keepends=True)]
    text = literal(wire)
    if len(text) + len(indent) <= _ONE_LINE or not isinstance(wire, list | dict):
        return [indent + text]
    deeper = indent + "    "
    if isinstance(wire, list):
        return [f"{indent}[", *_items(wire, deeper), f"{indent}]"]
    ((tag, payload),) = wire.items()
    if tag == "tuple":
        return [f"{indent}(", *_items(payload, deeper), f"{indent})"]
    if tag in ("dict", "struct"):
        opening, between, closing = ("{", ": ", "}") if tag == "dict" else ("struct(", " = ", ")")
        lines = [f"{indent}{opening}"]
        for name, value in zip(payload[::2], payload[1::2], strict=True):
            inner = spread(value, deeper)
            key = literal(name) if tag == "dict" else str(name)
            lines += [f"{deeper}{key}{between}{inner[0].strip()}", *inner[1:-1]]
            lines += [f"{inner[-1]},"] if len(inner) > 1 else []
            if len(inner) == 1:
                lines[-1] += ","
        return [*lines, f"{indent}{closing}"]
    return [indent + text]


def _items(items: list[Wire], indent: str) -> list[str]:
    lines: list[str] = []
    for each in items:
        lines += spread(each, indent)
        lines[-1] += ","
    return lines
