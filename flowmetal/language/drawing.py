"""How a line of source text is shown."""

from __future__ import annotations


def draw(source: str, line: int) -> str:
    """One line of a source text with its number, as the interpreter draws it; empty when there is no such line."""
    lines = source.split("\n")
    if not 1 <= line <= len(lines):
        return ""
    number = str(line)
    gap = " " * len(number)
    return f"{gap} |\n{number} | {lines[line - 1][:200]}\n{gap} |"
