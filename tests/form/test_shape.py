"""Modules stay small, those in Starlark too, and everything public says what it is."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import flowmetal

CHECKOUT = Path(__file__).parents[2]
MODULES = sorted((CHECKOUT / "flowmetal").rglob("*.py"))
FLOWS = sorted((CHECKOUT / "prelude").rglob("*.flow"))

LINES = 250
"""How long a module may be without a reason."""

MOST_LINES = 600
"""How long a module may be with one."""

LONGER = {
    "flowmetal/actions/guard.py": "started by itself, as one file without the rest of the package",
    "flowmetal/engine/dispatch.py": "the whole of what a worker may say, one check beside the other",
    "flowmetal/engine/effects.py": "the one gate: an effect's states, from asked for to delivered",
    "flowmetal/engine/engine.py": "the engine's public face: what may be asked of it, in one place",
    "flowmetal/engine/runs.py": "the one way a result travels; its order is the invariant",
    "flowmetal/journal/journal.py": "the journal's public face: what may be asked of it, in one place",
    "flowmetal/journal/events.py": "one builder for each kind of event, in one table with its fields",
    "flowmetal/language/arguments.py": "one table of argument types, validated and parsed side by side",
    "flowmetal/language/program.py": "loading is one two-pass state machine over one set of modules",
    "flowmetal/settings.py": "every limit stands here once, with the words that the pages take over",
    "flowmetal/values.py": "one codec: both directions and every check of one encoding are read together",
    "flowmetal/worker/driver.py": "numbers, replay and waiting depend on each other in every line",
    "flowmetal/worker/host.py": "one method for each action of the language",
    "prelude/data.flow": "JSON and CSV together, since each file of the prelude is loaded at every start",
    "prelude/jobs/running.flow": "one loop, and what the end of a job means for those that need it",
    "prelude/recovery/recovery.flow": "functions that wrap another, with the checks that all of them share",
    "prelude/wire.flow": "one codec: both directions and every check of one encoding are read together",
}
"""Modules of more than LINES lines, each with the reason why it is one module."""


def shown(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", [*MODULES, *FLOWS], ids=shown)
def test_a_module_is_short_or_has_a_reason(path: Path) -> None:
    limit = MOST_LINES if shown(path) in LONGER else LINES
    assert length(path) <= limit, f"{shown(path)} has {length(path)} lines: divide it, or give a reason in LONGER"


def test_reasons_are_for_modules_that_exist() -> None:
    assert not [name for name in LONGER if not (CHECKOUT / name).exists()]


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Public classes and functions, and the public methods of those classes."""
    for node in body:
        if isinstance(node, ast.If):  # if sys.platform == …
            yield from public([*node.body, *node.orelse], prefix)
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        yield prefix + node.name, node  # type: ignore[misc]
        if isinstance(node, ast.ClassDef):
            yield from public(node.body, f"{node.name}.")


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_everything_public_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{shown(path)}: the module has no docstring"
    for name, node in public(tree.body):
        decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
        if decorators & {"override", "typing.override", "overload"} or any(".setter" in text for text in decorators):
            continue
        assert ast.get_docstring(node), f"{shown(path)}:{node.lineno}: {name} has no docstring"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=shown)
def test_exported_names_exist(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bound = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    for names in exported:
        assert len(set(names)) == len(names)
        assert set(names) <= bound | {"__version__"}


def test_the_version_is_said_once_in_two_places() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == flowmetal.__version__
