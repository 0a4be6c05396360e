"""What the typechecker says, and what of it is no mistake."""

from __future__ import annotations

import ast
import re
from typing import Final

OF_COMPARISONS: Final = ("error: Expected type", "error: Binary operator `in`", "error: Binary operator `+`")
"""How the messages begin that mean nothing at the places of ``compared_places``."""


def compared_places(tree: ast.Module | None) -> set[tuple[int, int]]:
    """Where a text compares: the typechecker takes 1 and 1.0, or anything and None, for types that do not go together.

    So with what is added to a list in place, which takes anything that has items.
    """
    found: set[tuple[int, int]] = set()
    for node in ast.walk(tree) if tree is not None else ():
        parts: list[ast.expr | ast.stmt] = []
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In | ast.NotIn):
            parts = [node, node.left, *node.comparators]
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            parts = [node, node.value]
        found.update((each.lineno, each.col_offset + 1) for each in parts)
    return found


def with_line(text: str, excerpt: str, line: int) -> str:
    """An interpreter's error with the excerpt that belongs to it, of which advice may depend."""
    return f"{text.partition(' --> ')[0]} --> //x:{line}:1\n{excerpt}\n".replace(
        "Internal error: unresolved ident", _unresolved(text)
    )


def _unresolved(text: str) -> str:
    """The typechecker forgets to say which name it does not know; its excerpt marks it."""
    lines = text.split("\n")
    marked = next((at for at, line in enumerate(lines) if re.fullmatch(r"\s*\|\s*\^+", line)), 0)
    if not marked:
        return "a name is not known"
    start, end = lines[marked].index("^"), lines[marked].rindex("^") + 1
    return f"Variable `{lines[marked - 1][start:end]}` not found"
