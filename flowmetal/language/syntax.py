"""The text of a flow file as Python's own grammar reads it, and what is found in it."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONTEXT = "fctx"
"""What everyone calls the flow context."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A call that cannot work; line and column count from 1."""

    line: int
    column: int
    message: str
    hint: str = ""


def parse(text: str) -> ast.Module | None:
    """The text as Python reads it; None when it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of names and attributes; empty for what is none."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def passed(
    names: Sequence[str], args: Sequence[ast.expr], keywords: Sequence[ast.keyword]
) -> Iterator[tuple[str, ast.expr]]:
    """What a call passes by the names of the parameters, as far as its text tells."""
    for name, value in zip(names, args, strict=False):
        if isinstance(value, ast.Starred):
            break
        yield name, value
    yield from ((each.arg, each.value) for each in keywords if each.arg is not None and each.arg in names)
