"""How a line of source text is shown."""

from __future__ import annotations

from collections.abc import Sequence


def draw(source: str, line: int) -> str:
    """One line of a source text with its number, as the interpreter draws it; empty when there is no such line."""
    return draw_line(source.split("\n"), line)


def draw_line(lines: Sequence[str], line: int) -> str:
    """The same, of the lines of a text, for who draws many of them."""
    if not 1 <= line <= len(lines):
        return ""
    number = str(line)
    gap = " " * len(number)
    return f"{gap} |\n{number} | {lines[line - 1][:200]}\n{gap} |"
