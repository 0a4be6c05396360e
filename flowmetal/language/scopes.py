"""Which name means what in a flow file, as far as its text alone tells.

A name counts as known where its scope binds it exactly once, by a plain ``name = …``; what is a parameter, a loop's
target, or bound twice may be anything.  So nothing that is found by these names can be wrong because of a path that
was not looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from flowmetal.language.syntax import CONTEXT

Function = ast.FunctionDef | ast.Lambda
SCOPES = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.DictComp)
_MOST_STEPS = 20


@dataclass(slots=True)
class Scope:
    """The names of a function, a comprehension, or a module (``outer`` None).

    ``values`` are what plain names are bound to, once; ``unknown`` are all others.  Of those, ``items`` are bound once
    to each item of something in turn: that, and the scope in which it is evaluated.
    """

    outer: Scope | None = None
    values: dict[str, ast.expr] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    items: dict[str, tuple[Scope, ast.expr]] = field(default_factory=dict)

    def find(self, name: str) -> tuple[Scope, ast.expr] | None:
        """What a name is bound to and where; None where that is not known.

        Raises:
            LookupError: nothing in the file binds it.
        """
        scope: Scope | None = self
        while scope is not None:
            if name in scope.unknown:
                return None
            if name in scope.values:
                return scope, scope.values[name]
            scope = scope.outer
        raise LookupError(name)

    def item_of(self, name: str) -> tuple[Scope, ast.expr] | None:
        """What a name is bound to the items of, and where that is evaluated; None where that is not known."""
        scope: Scope | None = self
        while scope is not None and name not in scope.unknown and name not in scope.values:
            scope = scope.outer
        return scope.items.get(name) if scope is not None else None

    def is_global(self, name: str) -> bool:
        """Whether no function between here and the module binds a name, and the module once at most."""
        scope: Scope = self
        while scope.outer is not None:
            scope = scope.outer
        return name not in scope.unknown and self.is_of_module(name)

    def is_of_module(self, name: str) -> bool:
        """Whether no function between here and the module binds a name, whatever the module does."""
        scope: Scope | None = self
        while scope is not None and scope.outer is not None:
            if name in scope.unknown or name in scope.values:
                return False
            scope = scope.outer
        return scope is not None

    def path(self, node: ast.AST) -> str:
        """``fctx.actions.run`` of a name, attributes, and names that stand for such; "" for what is none."""
        scope, parts = self, []
        for _ in range(_MOST_STEPS):
            while isinstance(node, ast.Attribute):
                parts.append(node.attr)
                node = node.value
            if not isinstance(node, ast.Name):
                return ""
            if node.id == CONTEXT:
                return ".".join([CONTEXT, *reversed(parts)])
            try:
                found = scope.find(node.id)
            except LookupError:
                return ".".join([node.id, *reversed(parts)])
            if found is None or not isinstance(found[1], ast.Name | ast.Attribute):
                # What a module binds itself keeps its name: a flow, a struct.
                return ".".join([node.id, *reversed(parts)]) if scope.is_global(node.id) else ""
            scope, node = found
        return ""


def scope_of(node: ast.AST, outer: Scope | None) -> Scope:
    """The scope that a module, a function or a comprehension makes."""
    scope = Scope(outer)
    if isinstance(node, ast.Module | ast.FunctionDef):
        counts = bound_in(node.body)
        scope.values = {name: value for name, value in _assigned(node.body) if counts[name] == 1}
        scope.unknown = {name for name in counts if name not in scope.values}
        for each in _within(node.body):
            if isinstance(each, ast.For) and isinstance(each.target, ast.Name) and counts[each.target.id] == 1:
                scope.items[each.target.id] = (scope, each.iter)
    if isinstance(node, Function):
        _bind_anything(scope, _parameters(node.args))
    for at, part in enumerate(getattr(node, "generators", [])):
        _bind_anything(scope, (each.id for each in ast.walk(part.target) if isinstance(each, ast.Name)))
        if isinstance(part.target, ast.Name) and at == 0 and outer is not None:
            scope.items[part.target.id] = (outer, part.iter)
    return scope


def _bind_anything(scope: Scope, names: Iterator[str]) -> None:
    for name in names:
        scope.unknown.add(name)
        scope.items.pop(name, None)


def parts_of(node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    """What stands in a node, each with the scope in which it is evaluated; ``scope`` is the one around the node.

    The defaults and annotations of a function, and what a comprehension goes through first, are evaluated around it.
    """
    inner = scope_of(node, scope) if isinstance(node, SCOPES) else scope
    if isinstance(node, Function):
        body = node.body if isinstance(node.body, list) else [node.body]
        yield from ((part, inner) for part in body)
        yield from ((part, scope) for part in ast.iter_child_nodes(node) if part not in body)
        return
    first = node.generators[0] if isinstance(node, ast.ListComp | ast.DictComp) else None
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.comprehension):
            yield part.iter, scope if part is first else inner
            yield from ((each, inner) for each in (part.target, *part.ifs))
        else:
            yield part, inner


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    return (each.arg for each in every if each)


def bound_in(body: list[ast.stmt]) -> dict[str, int]:
    """How often statements bind each name, not looking into functions within them."""
    counts: dict[str, int] = {}
    for node in _within(body):
        if isinstance(node, ast.FunctionDef):
            counts[node.name] = counts.get(node.name, 0) + 1
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            counts[node.id] = counts.get(node.id, 0) + 1
    return counts


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in _within(body):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _within(body: list[ast.stmt]) -> Iterator[ast.AST]:
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, SCOPES):
            pending += ast.iter_child_nodes(node)
