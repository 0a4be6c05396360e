"""docs/testing.md names what the package of tests holds, with its parameters, and nothing else."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import CHECKOUT, DOCS, section, tables
from tests.docs.test_language_page import text_of

PAGE = DOCS / "testing.md"
TREE = ast.parse((CHECKOUT / "prelude" / "testing" / "testing.flow").read_text(encoding="utf-8"))
FUNCTIONS = {node.name: node for node in TREE.body if isinstance(node, ast.FunctionDef)}


def shown(title: str) -> dict[str, str]:
    """The functions in the tables of a section: parameters by name."""
    cells = [row[0] for rows in tables(section(PAGE, title)) for row in rows]
    return {match[1]: match[2] for cell in cells if (match := re.fullmatch(r"`(\w+)(\(.*\))`", cell))}


def test_the_page_names_every_assert() -> None:
    public = {name: text_of(node) for name, node in FUNCTIONS.items() if name.startswith("assert_")}
    assert shown("## Asserts") == public
    assert all(ast.get_docstring(FUNCTIONS[name]) for name in public)


def test_the_page_names_what_a_test_is_given() -> None:
    given = {name.removeprefix("_"): text_of(FUNCTIONS[name]) for name in ("_answer", "_calls")}
    assert shown("## What effects give") == given
