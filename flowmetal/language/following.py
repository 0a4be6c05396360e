"""What an expression of a flow file gives, as far as its text alone tells: a value, a Result, a Task, or Results.

Followed are calls of flows and effects (a Result), ``run`` and ``wait`` (a Task and its Result), ``unwrap`` and
``.value``, lists of Results, and names that stand for one of these.  All else may be anything, so what is said of these
is so.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from flowmetal.language.arguments import Argument
from flowmetal.language.flows import FlowInfo
from flowmetal.language.returns import Returns
from flowmetal.language.scopes import Scope
from flowmetal.language.syntax import CONTEXT

ACTIONS: Final = f"{CONTEXT}.actions"
START: Final = f"{ACTIONS}.start"
STARTS: Final = (f"{ACTIONS}.run", START)
WAIT: Final = f"{ACTIONS}.wait"
_BARE: Final = frozenset(("run", "start", "wait", "cancel", "clean", "defer"))
"""Actions that are global names too."""
_EFFECTS: Final = "effects"
_OF_RESULT: Final = frozenset({"Ok", "Err", f"{ACTIONS}.clean", "race", "first_ok", "quorum"})
"""What of the prelude gives a Result, besides flows and effects."""
_MOST_STEPS: Final = 30


@dataclass(frozen=True, slots=True)
class Typed:
    """A value, a Result, a Task, or Results, of what is called ``of``; or any list.  ``returns`` None is anything."""

    how: Literal["value", "result", "task", "results", "list"]
    of: str
    returns: Returns | None = None


class Follower:
    """Follows what the calls of one file give.

    Args:
        flows: those that the file has at top level, by name, its own and loaded ones.
        effects: what each effect takes.
        top: the scope of the file; what it binds is its own, whatever the prelude calls so.
    """

    def __init__(self, flows: Mapping[str, FlowInfo], effects: Mapping[str, Sequence[Argument]], top: Scope) -> None:
        self.flows = flows
        self.effects = effects
        self.top = top
        self._own = frozenset((*top.values, *top.unknown, *flows))

    def flow(self, node: ast.expr, scope: Scope) -> FlowInfo | None:
        """The flow that an expression is, with whatever options."""
        return self.flows.get(scope.path(self._bare(node, scope)))

    def started(self, node: ast.Call, scope: Scope) -> ast.expr | None:
        """What a call of ``run`` or ``start`` starts, without its options; None of any other call."""
        if node.args and not isinstance(node.args[0], ast.Starred) and self.called(node.func, scope) in STARTS:
            return self._bare(node.args[0], scope)
        return None

    def called(self, node: ast.expr, scope: Scope) -> str:
        """What of the prelude's an expression is, ``fctx.actions.read``; "" if it is something else."""
        path = scope.path(node)
        if path.partition(".")[0] in self._own:
            return ""
        return f"{ACTIONS}.{path}" if path in _BARE else path

    def is_prelude(self, name: str) -> bool:
        """Whether a global name is the prelude's: the file neither binds nor loads another."""
        return name not in self._own

    def effect(self, node: ast.expr, scope: Scope) -> str:
        """The name of the effect that an expression is, with whatever options; "" for none."""
        path = self.called(self._bare(node, scope), scope)
        name = path.removeprefix(f"{ACTIONS}.").removeprefix(f"{_EFFECTS}.")
        return name if name != path and name in self.effects else ""

    def typed(self, node: ast.expr, scope: Scope, steps: int = 0) -> Typed | None:
        """What an expression gives; None if that is not known."""
        if steps > _MOST_STEPS:
            return None
        if isinstance(node, ast.Name):
            try:
                found = scope.find(node.id)
            except LookupError:
                return None
            if found is not None:
                return self.typed(found[1], found[0], steps + 1)
            within = scope.item_of(node.id)
            return _item(self.typed(within[1], within[0], steps + 1)) if within is not None else None
        if isinstance(node, ast.Attribute) and node.attr == "value":
            return _opened(self.typed(node.value, scope, steps + 1))
        if isinstance(node, ast.Subscript):
            results = self.typed(node.value, scope, steps + 1)
            return results if isinstance(node.slice, ast.Slice) else _item(results)
        if isinstance(node, ast.List | ast.ListComp):
            return Typed("list", "")
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
        if called == "parallel_map":
            return Typed("results", called)
        if called == WAIT and node.args:
            waited = self.typed(node.args[0], scope, steps + 1)
            if waited is not None and waited.how == "list":
                return Typed("results", "wait")
            return Typed("result", waited.of, waited.returns) if waited is not None and waited.how == "task" else None
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


def _item(results: Typed | None) -> Typed | None:
    """One of Results."""
    return Typed("result", results.of) if results is not None and results.how == "results" else None


def _opened(result: Typed | None) -> Typed | None:
    """The value of a Result."""
    return Typed("value", result.of, result.returns) if result is not None and result.how == "result" else None
