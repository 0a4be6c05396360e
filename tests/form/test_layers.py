"""The floors of the house hold: read from the import statements, so that nothing needs to be imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGE = CHECKOUT / "flowmetal"

GROUND = {
    "",
    "alarm_clock",
    "carried",
    "clock",
    "errors",
    "identity",
    "json_reading",
    "json_writing",
    "package_graph",
    "package_ids",
    "policy",
    "settings",
    "values",
}
"""What every room may use; "" is ``flowmetal/__init__.py``."""

BELOW = {
    *("assembly", "places", "sources", "engine", "packages", "worker", "actions"),
    *("journal", "permissions", "language"),
}
"""What the topmost floor may use besides."""

MAY_USE = {
    # ground
    "": set(),
    "errors": set(),
    "carried": set(),
    "clock": set(),
    "alarm_clock": {"clock"},
    "identity": {"errors"},
    "settings": {"errors"},
    "values": {"errors"},
    "package_ids": {"errors"},
    "package_graph": set(),
    "policy": {"errors", "settings", "values"},
    "json_reading": {"errors", "values"},
    "json_writing": {"errors", "json_reading", "values"},
    # first floor: rooms that do not know each other
    "net": GROUND,
    "language": GROUND,
    "journal": GROUND,
    "permissions": GROUND,
    # for other people's processes: values and nothing else of ours
    "activity": GROUND,
    # second floor
    "worker": GROUND | {"language"},
    "actions": GROUND | {"activity", "permissions", "net"},
    # third floor: they do not know each other
    "engine": GROUND | {"worker", "actions", "journal", "permissions", "language"},
    "packages": GROUND | {"permissions", "language", "net"},
    # fourth floor: the places that name what is concrete
    "sources": GROUND | {"language"},
    "places": GROUND | {"sources", "journal", "language"},
    "assembly": GROUND
    | {"places", "sources", "engine", "worker", "actions", "journal", "permissions", "language", "packages", "net"},
    "trust": GROUND | {"permissions", "sources"},
    # fifth floor
    "rehearsal": GROUND
    | {"assembly", "places", "sources", "engine", "actions", "journal", "permissions", "language", "packages"},
    # sixth floor
    "cli": GROUND | BELOW | {"trust", "rehearsal"},
    "__main__": {"cli"},
    # the garden: no room above may use it
    "testing": GROUND | BELOW,
}

AT_HOME = {
    "aiohttp": ("net",),
    "click": ("cli",),
    "idna": ("net",),
    "lmdb": ("journal",),
    "msgpack": ("engine", "journal", "values", "worker"),
    "multidict": ("net",),
    "platformdirs": ("places",),
    "psutil": ("engine",),
    "rich": ("cli",),
    "starlark": ("language",),
    "tomlkit": ("packages",),
    "yarl": ("net",),
}
"""Where each third-party library may be imported."""

LATE = {"flowmetal.actions.late", "flowmetal.net.late", "flowmetal.packages.late"}
"""Where imports inside functions are gathered: of what takes long to load and most runs never need."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(CHECKOUT).with_suffix("").parts
        found[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    return found


MODULES = modules()


def imports(name: str, path: Path) -> Iterator[tuple[str, int]]:
    """Every module that ``path`` imports, by full name, with the line."""
    for node in _nodes(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if inner in MODULES else base), node.lineno


@cache
def _nodes(path: Path) -> list[ast.AST]:
    """All of a module's text, read once for all tests."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("name", MODULES)
def test_a_floor_uses_only_what_is_below_it(name: str) -> None:
    here = room(name)
    assert here in MAY_USE, f"{name}: a new room; give it a place in MAY_USE and in docs/architecture.md"
    for imported, line in imports(name, MODULES[name]):
        if imported.split(".")[0] == "flowmetal":
            there = room(imported)
            assert there == here or there in MAY_USE[here], (
                f"{MODULES[name].relative_to(CHECKOUT)}:{line}: {here or 'flowmetal'} may not use {imported}"
            )


@pytest.mark.parametrize("name", MODULES)
def test_a_third_party_library_lives_in_one_room(name: str) -> None:
    for imported, line in imports(name, MODULES[name]):
        library = imported.split(".")[0]
        if library == "flowmetal" or library in sys.stdlib_module_names:
            continue
        where = f"{MODULES[name].relative_to(CHECKOUT)}:{line}"
        assert library in AT_HOME, f"{where}: {library} has no room; name one in AT_HOME"
        assert room(name) in AT_HOME[library] or room(name) == "testing", (
            f"{where}: {library} lives in {', '.join(AT_HOME[library])}"
        )


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        name: []
        if name in LATE
        else sorted({imported for imported, _ in imports(name, path) if imported in MODULES and imported != name})
        for name, path in MODULES.items()
    }
    finished: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in finished:
            for imported in graph[name]:
                visit(imported, [*trail, name])
            finished.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) != "cli" and name not in LATE])
def test_nothing_is_imported_inside_a_function(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    late = [
        node.lineno
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert not late, f"{MODULES[name].relative_to(CHECKOUT)}: imports inside functions in lines {late}"


@pytest.mark.parametrize("arguments", [["--version"], ["check", "FLOW"], ["run", "FLOW:main"]])
def test_no_start_pays_for_aiohttp(arguments: list[str], tmp_path: Path) -> None:
    flow = tmp_path / "small.flow"
    flow.write_text("def _main(fctx):\n    return 1\n\nmain = flow(_main)\n", encoding="utf-8")
    imported = _imported_by([each.replace("FLOW", str(flow)) for each in arguments], tmp_path / "home")
    assert not imported & {
        "aiohttp",
        "yarl",
        "multidict",
        "idna",
        "email.utils",
        "flowmetal.net.urls",
        "flowmetal.net.client",
    }


@pytest.mark.parametrize("command", ["log", "ps", "show", "graph", "verify"])
def test_who_only_looks_pays_for_no_engine(command: str, tmp_path: Path) -> None:
    flow = tmp_path / "small.flow"
    flow.write_text("def _main(fctx):\n    fail('no')\n\nmain = flow(_main)\n", encoding="utf-8")
    _imported_by(["run", f"{flow}:main", "--id", "r1"], tmp_path / "home", code=1)
    imported = _imported_by([command, *(["r1"] if command in ("log", "show", "graph") else [])], tmp_path / "home")
    assert "lmdb" in imported
    assert not [name for name in imported if name.partition(".")[0] == "asyncio" or name.startswith("flowmetal.engine")]


def _imported_by(arguments: list[str], home: Path, *, code: int = 0) -> set[str]:
    """The modules that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "flowmetal", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "FLOWMETAL_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "flowmetal.cli.entry" in imported
    return imported
