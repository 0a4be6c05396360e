"""What is called in one place of a flow file: its dotted name, and the call that ``run`` makes of what it is given."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from flowmetal.language.following import STARTS
from flowmetal.language.scopes import Scope
from flowmetal.language.syntax import CONTEXT, dotted


@dataclass(frozen=True, slots=True)
class Names:
    """What names mean in one place.

    ``taken`` says how often the file binds each; ``others`` are global names that are not the prelude's.
    """

    scope: Scope
    taken: Mapping[str, int]
    others: Collection[str]

    def of_prelude(self, node: ast.expr) -> str:
        """The dotted name of something that the prelude or the context has; "" for anything else."""
        name = self.of(node)
        if name.partition(".")[0] in self.others:
            return ""
        return f"{CONTEXT}.actions.{name}" if f"{CONTEXT}.actions.{name}" in STARTS else name

    def of(self, node: ast.expr) -> str:
        """The dotted name of something global; "" for anything else."""
        name = dotted(node)
        # A name that stands for the context, or for something of it, is followed: `a = fctx.actions`.
        path = self.scope.path(node) if name else ""
        name = path if path.startswith(f"{CONTEXT}.") else name
        head = name.partition(".")[0]
        is_global = head == CONTEXT or (self.taken.get(head, 0) < 2 and self.scope.is_of_module(head))
        return name if is_global else ""


def calls_in(node: ast.Call, names: Names) -> Iterator[ast.Call]:
    """The call itself, and the call that it makes of what ``run`` or ``start`` is given; without options."""
    yield _without_options(node, names)
    if names.of_prelude(node.func) in STARTS and node.args and not isinstance(node.args[0], ast.Starred):
        started = ast.Call(node.args[0], node.args[1:], node.keywords)
        yield _without_options(ast.copy_location(started, node), names)


def _without_options(node: ast.Call, names: Names) -> ast.Call:
    """``f(x)`` of ``options(f, …)(x)``."""
    func = node.func
    while isinstance(func, ast.Call) and func.args and names.of_prelude(func.func) == "options":
        func = func.args[0]
    return ast.copy_location(ast.Call(func, node.args, node.keywords), node)
