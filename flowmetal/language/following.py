"""What an expression of a flow file gives, as far as its text alone tells: a flow's value, a Result, or a Task.

Followed are calls of flows and effects (a Result), ``run`` and ``wait`` (a Task and its Result), ``unwrap`` and
``.value``, and names that stand for one of these.  All else may be anything, so what is said of these is so.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from flowmetal.language.flows import FlowInfo
from flowmetal.language.returns import Returns
from flowmetal.language.scopes import Scope
from flowmetal.language.syntax import CONTEXT

ACTIONS: Final = f"{CONTEXT}.actions"
START: Final = f"{ACTIONS}.start"
STARTS: Final = (f"{ACTIONS}.run", START)
_WAIT: Final = f"{ACTIONS}.wait"
_EFFECTS: Final = "effects"
_OF_RESULT: Final = frozenset({"Ok", "Err", f"{ACTIONS}.clean", "race", "first_ok", "quorum"})
"""What of the prelude gives a Result, besides flows and effects."""
_MOST_STEPS: Final = 30


@dataclass(frozen=True, slots=True)
class Typed:
    """A value, a Result, or a Task, of what is called ``of``; ``returns`` None is anything."""

    how: Literal["value", "result", "task"]
    of: str
    returns: Returns | None = None


class Follower:
    """Follows what the calls of one file give.

    Args:
        flows: those that the file has at top level, by name, its own and loaded ones.
        effects: the names of all effects.
        top: the scope of the file; what it binds is its own, whatever the prelude calls so.
    """

    def __init__(self, flows: Mapping[str, FlowInfo], effects: Collection[str], top: Scope) -> None:
        self._flows = flows
        self._effects = effects
        self._own = frozenset((*top.values, *top.unknown))

    def flow(self, node: ast.expr, scope: Scope) -> FlowInfo | None:
        """The flow that an expression is, with whatever options."""
        return self._flows.get(scope.path(self._bare(node, scope)))

    def started(self, node: ast.Call, scope: Scope) -> ast.expr | None:
        """What a call of ``run`` or ``start`` starts, without its options; None of any other call."""
        if node.args and not isinstance(node.args[0], ast.Starred) and self.called(node.func, scope) in STARTS:
            return self._bare(node.args[0], scope)
        return None

    def called(self, node: ast.expr, scope: Scope) -> str:
        """What of the prelude's an expression is, ``fctx.actions.read``; "" if it is something else."""
        path = scope.path(node)
        return "" if path.partition(".")[0] in self._own else path

    def effect(self, node: ast.expr, scope: Scope) -> str:
        """The name of the effect that an expression is, with whatever options; "" for none."""
        path = self.called(self._bare(node, scope), scope)
        name = path.removeprefix(f"{ACTIONS}.").removeprefix(f"{_EFFECTS}.")
        return name if name != path and name in self._effects else ""

    def typed(self, node: ast.expr, scope: Scope, steps: int = 0) -> Typed | None:
        """What an expression gives; None if that is not known."""
        if steps > _MOST_STEPS:
            return None
        if isinstance(node, ast.Name):
            try:
                found = scope.find(node.id)
            except LookupError:
                return None
            return self.typed(found[1], found[0], steps + 1) if found is not None else None
        if isinstance(node, ast.Attribute) and node.attr == "value":
            return _opened(self.typed(node.value, scope, steps + 1))
        return self._given(node, scope, steps) if isinstance(node, ast.Call) else None

    def _given(self, node: ast.Call, scope: Scope, steps: int) -> Typed | None:
        """What a call gives."""
        started = self.started(node, scope)
        if started is not None:
            return self._begun(node, started, scope)
        callee = self._callee(node.func, scope)
        if callee is not None:
            return callee
        called = self.called(node.func, scope)
        if called in _OF_RESULT:
            return Typed("result", called.rpartition(".")[2])
        if called == "unwrap" and len(node.args) == 1:
            return _opened(self.typed(node.args[0], scope, steps + 1))
        if called == _WAIT and node.args:
            task = self.typed(node.args[0], scope, steps + 1)
            return Typed("result", task.of, task.returns) if task is not None and task.how == "task" else None
        return None

    def _begun(self, node: ast.Call, started: ast.expr, scope: Scope) -> Typed | None:
        callee = self._callee(started, scope)
        name = callee.of if callee is not None else ""
        if self.called(node.func, scope) == START:
            return Typed("result", name)
        return Typed("task", name, callee.returns if callee is not None else None)

    def _callee(self, node: ast.expr, scope: Scope) -> Typed | None:
        """What a call of the flow or effect that an expression is gives."""
        flow = self.flow(node, scope)
        if flow is not None:
            return Typed("result", flow.name, flow.returns)
        effect = self.effect(node, scope)
        return Typed("result", effect) if effect else None

    def _bare(self, node: ast.expr, scope: Scope) -> ast.expr:
        """What stands within ``options(…)``."""
        for _ in range(_MOST_STEPS):
            if not (isinstance(node, ast.Call) and self.called(node.func, scope) == "options" and node.args):
                break
            node = node.args[0]
        return node


def _opened(result: Typed | None) -> Typed | None:
    """The value of a Result."""
    return Typed("value", result.of, result.returns) if result is not None and result.how == "result" else None
