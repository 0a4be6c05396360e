"""Members that are not there: of what the prelude holds, of the flow context, of a flow's declared arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flowmetal.errors import did_you_mean
from flowmetal.language.from_python import ATTRIBUTE_HINTS
from flowmetal.language.syntax import CONTEXT, Finding, dotted, parse

_FUNCTIONS = (ast.FunctionDef, ast.Lambda)


def members_of(text: str) -> dict[str, tuple[str, ...]]:
    """The names in each struct that a module of the prelude holds, ``fctx.actions`` among them, or makes."""
    tree = parse(text)
    found: dict[str, tuple[str, ...]] = {}
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return) and node.body[-1].value:
            name, value = node.name.removeprefix("make_"), node.body[-1].value
        else:
            continue
        _add_struct(name.replace("_actions", f"{CONTEXT}.actions"), value, found)
    return found


def _add_struct(name: str, value: ast.expr, found: dict[str, tuple[str, ...]]) -> None:
    """Adds what a struct holds, and what the structs in it hold, also those that an earlier one held already."""
    if isinstance(value, ast.Call) and dotted(value.func) == "struct":
        found[name] = tuple(each.arg or "" for each in value.keywords)
        for each in value.keywords:
            _add_struct(f"{name}.{each.arg}", each.value, found)
    elif "." in name and dotted(value) in found:
        found[name] = found[dotted(value)]


@dataclass(frozen=True, slots=True)
class Of:
    """The flow that a function implements, and the names of its arguments."""

    name: str
    arguments: tuple[str, ...]


def implementations(tree: ast.Module, declared: Mapping[str, tuple[str, ...]]) -> dict[ast.AST, Of]:
    """The functions that are given to ``flow()`` once and used for nothing else, with what the flow declares."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    uses: dict[str, int] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            uses[node.id] = uses.get(node.id, 0) + 1
    found: dict[ast.AST, Of] = {}
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and node.value.args):
            continue
        target = node.targets[0]
        first: ast.AST = node.value.args[0]
        if isinstance(first, ast.Name) and uses[first.id] == 1:
            first = functions.get(first.id, first)
        if not (isinstance(target, ast.Name) and target.id in declared and dotted(node.value.func) == "flow"):
            continue
        if isinstance(first, _FUNCTIONS) and [each.arg for each in first.args.args[:1]] == [CONTEXT]:
            found[first] = Of(target.id, declared[target.id])
    return found


def judge_member(
    node: ast.Attribute, base: str, members: Mapping[str, tuple[str, ...]], flow: Of | None
) -> Iterator[Finding]:
    """What is wrong with ``a.b`` in the function that implements ``flow``, when it is known what ``a`` holds.

    ``base`` is the ``a``, by its dotted name.
    """
    name = node.attr
    at = (node.end_lineno or node.lineno, (node.end_col_offset or 0) - len(name) + 1)
    if base == f"{CONTEXT}.args" and flow is not None and name not in flow.arguments:
        near = did_you_mean(name, flow.arguments)
        remedy = f"it declares: {', '.join(flow.arguments)}" if flow.arguments else "it declares none"
        yield Finding(*at, f"the flow `{flow.name}` declares no argument `{name}`{near}", remedy)
    if base not in members or name in members[base]:
        return
    there = members[base]
    what = f"there is no action `{name}`" if base == f"{CONTEXT}.actions" else f"`{base}` has no `{name}`"
    advice = ATTRIBUTE_HINTS.get(name, "")
    if base == CONTEXT and name in members.get(f"{CONTEXT}.actions", ()):
        yield Finding(*at, what, f"write `{CONTEXT}.actions.{name}`")
    elif f"`{base}." in advice or CONTEXT in advice:
        yield Finding(*at, what, advice)
    else:
        yield Finding(*at, f"{what}{did_you_mean(name, there)}", f"there are: {', '.join(there)}")
