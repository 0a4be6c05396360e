"""docs/orchestration.md names what the packages of orchestration hold, with its parameters, and nothing else."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs.pages import CHECKOUT, DOCS, section, tables
from tests.docs.test_language_page import text_of

PAGE = DOCS / "orchestration.md"
PACKAGES = {"jobs": "## Jobs", "recovery": "## Recovery"}


def functions(package: str) -> dict[str, ast.FunctionDef]:
    """The public functions of a package's main file."""
    tree = ast.parse((CHECKOUT / "prelude" / package / f"{package}.flow").read_text(encoding="utf-8"))
    return {
        node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_and_the_package_name_the_same(package: str) -> None:
    shown = {}
    for rows in tables(section(PAGE, PACKAGES[package])):
        for first, *_ in rows:
            match = re.fullmatch(r"`(\w+)(\(.*\))`", first)
            if match:
                shown[match[1]] = match[2]
    assert shown == {name: text_of(node) for name, node in functions(package).items()}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_argument_is_documented(package: str) -> None:
    for name, node in functions(package).items():
        doc = ast.get_docstring(node) or ""
        assert doc, name
        if "Args:" not in doc:
            continue
        for argument in (*node.args.args, *node.args.kwonlyargs):
            assert re.search(rf"^ +(\w+, )*{argument.arg}(, [\w*]+)*:", doc, re.MULTILINE), f"{name}: {argument.arg}"
