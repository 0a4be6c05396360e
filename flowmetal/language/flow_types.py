"""What flows declare to return, followed through a text to where it does not fit: as an argument of another flow, and
as what a flow returns itself.

Followed are calls (a Result), ``run`` and ``wait`` (a Task and its Result), ``unwrap`` and ``.value``, and names that
stand for one of these.  All else may be anything, so what is found cannot work.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from flowmetal.language.argument_types import type_name
from flowmetal.language.flows import FlowInfo
from flowmetal.language.returns import Returns
from flowmetal.language.scopes import SCOPES, Scope, scope_of
from flowmetal.language.syntax import CONTEXT, Finding, parse

_RUN: Final = (f"{CONTEXT}.actions.run", f"{CONTEXT}.actions.start")
_WAIT: Final = f"{CONTEXT}.actions.wait"
_MOST_STEPS: Final = 30
_GIVEN: Final = {
    "path": {"string"},
    "timestamp": {"string"},
    "duration": {"string", "int", "float"},
}
"""The types of the values of a declared type, where it is not its own."""
_TAKEN: Final = _GIVEN | {"float": {"int", "float"}, "secret": {"string", "secret"}}
"""The types of the values that a declared argument takes."""


@dataclass(frozen=True, slots=True)
class _Typed:
    """What an expression gives: a flow's value, its Result, or the Task of one; ``returns`` None is anything."""

    how: Literal["value", "result", "task"]
    flow: str
    returns: Returns | None


def check_types(text: str, flows: Mapping[str, FlowInfo], loaded: Collection[str] = ()) -> Iterator[Finding]:
    """What flows return in places where it does not fit.

    Args:
        text: a flow file.
        flows: those that it has at top level, by name, its own and loaded ones.
        loaded: all names that it loads.
    """
    tree = parse(text)
    if tree is None:
        return
    top = scope_of(tree, None)
    top.unknown.update(name for name in loaded if name not in flows)
    follower = _Follower(flows, top)
    implementing = _implementing(tree, flows, top)
    pending: list[tuple[ast.AST, Scope, FlowInfo | None]] = [(tree, top, None)]
    while pending:
        node, scope, flow = pending.pop()
        if isinstance(node, SCOPES):
            scope = scope_of(node, scope)
            if not isinstance(node, ast.ListComp | ast.DictComp):
                flow = implementing.get(node)
        if isinstance(node, ast.Call):
            yield from follower.judge_call(node, scope)
        returned = node.value if isinstance(node, ast.Return) else node.body if isinstance(node, ast.Lambda) else None
        if flow is not None and returned is not None:
            yield from follower.judge_return(flow, returned, scope)
        pending += [(child, scope, flow) for child in ast.iter_child_nodes(node)]


def _implementing(tree: ast.Module, flows: Mapping[str, FlowInfo], top: Scope) -> dict[ast.AST, FlowInfo]:
    """The functions of the file that implement its flows."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found: dict[ast.AST, FlowInfo] = {}
    for name, info in flows.items():
        made = top.values.get(name)
        if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "flow" and made.args:
            first = made.args[0]
            function = functions.get(first.id) if isinstance(first, ast.Name) else first
            if isinstance(function, ast.FunctionDef | ast.Lambda):
                found[function] = info
    return found


class _Follower:
    """Follows what flows return."""

    def __init__(self, flows: Mapping[str, FlowInfo], top: Scope) -> None:
        self._flows = flows
        self._top = top

    def judge_call(self, node: ast.Call, scope: Scope) -> Iterator[Finding]:
        """What a call of a flow passes that it does not take."""
        flow, args = self._flow(node.func, scope), node.args
        if flow is None and node.args and self._called(node, scope) in _RUN:
            flow, args = self._flow(node.args[0], scope), node.args[1:]
        if flow is None or not flow.declared:
            return
        declared = {argument.name: argument for argument in flow.arguments}
        passed: list[tuple[str, ast.expr]] = []
        for argument, value in zip(flow.arguments, args, strict=False):
            if isinstance(value, ast.Starred):
                break
            passed.append((argument.name, value))
        passed += [(each.arg, each.value) for each in node.keywords if each.arg in declared]
        for name, value in passed:
            takes = Returns(declared[name].type, declared[name].options)
            typed = self._typed(value, scope)
            at = (value.lineno, value.col_offset + 1)
            if typed is None or takes.type == "any":
                continue
            if typed.how == "result":
                told = f"`{flow.name}` takes {_with_article(takes)} as `{name}`, and this is a Result of `{typed.flow}`"
                yield Finding(*at, told, "`unwrap(…)` gives its value")
            elif typed.returns is not None and _clash(typed.returns, takes):
                told = f"`{flow.name}` takes {_with_article(takes)} as `{name}`, and `{typed.flow}` returns"
                yield Finding(*at, f"{told} {_with_article(typed.returns)}", "convert it, or declare one type for both")

    def judge_return(self, flow: FlowInfo, returned: ast.expr, scope: Scope) -> Iterator[Finding]:
        """What a flow returns that it does not declare to."""
        typed = self._typed(returned, scope)
        if flow.returns is None or typed is None or typed.how == "task" or typed.returns is None:
            return
        if _clash(typed.returns, flow.returns):
            told = f"`{flow.name}` returns {_with_article(flow.returns)}, and `{typed.flow}`"
            told = f"{told} {_with_article(typed.returns)}"
            yield Finding(returned.lineno, returned.col_offset + 1, told, "convert it, or declare one type for both")

    def _flow(self, node: ast.expr, scope: Scope) -> FlowInfo | None:
        """The flow that an expression is, with whatever options."""
        for _ in range(_MOST_STEPS):
            if not (isinstance(node, ast.Call) and self._called(node, scope) == "options" and node.args):
                break
            node = node.args[0]
        return self._flows.get(scope.path(node))

    def _called(self, node: ast.Call, scope: Scope) -> str:
        """What of the prelude's is called; "" if it is something else."""
        path = scope.path(node.func)
        return "" if path in self._top.values else path

    def _typed(self, node: ast.expr, scope: Scope, steps: int = 0) -> _Typed | None:
        if steps > _MOST_STEPS:
            return None
        if isinstance(node, ast.Name):
            try:
                found = scope.find(node.id)
            except LookupError:
                return None
            return self._typed(found[1], found[0], steps + 1) if found is not None else None
        if isinstance(node, ast.Attribute) and node.attr == "value":
            return _opened(self._typed(node.value, scope, steps + 1))
        if not isinstance(node, ast.Call):
            return None
        flow = self._flow(node.func, scope)
        if flow is not None:
            return _Typed("result", flow.name, flow.returns)
        called = self._called(node, scope)
        if called == _RUN[0] and node.args:
            flow = self._flow(node.args[0], scope)
            return _Typed("task", flow.name, flow.returns) if flow is not None else None
        if called == "unwrap" and len(node.args) == 1:
            return _opened(self._typed(node.args[0], scope, steps + 1))
        if called == _WAIT and len(node.args) == 1:
            task = self._typed(node.args[0], scope, steps + 1)
            return _Typed("result", task.flow, task.returns) if task is not None and task.how == "task" else None
        return None


def _opened(result: _Typed | None) -> _Typed | None:
    """The value of a Result."""
    return _Typed("value", result.flow, result.returns) if result is not None and result.how == "result" else None


def _clash(gives: Returns, takes: Returns) -> bool:
    """Whether no value of one type is one of the other; of lists, whether none of their items is."""
    if "any" in (gives.type, takes.type):
        return False
    if _types(gives, _GIVEN).isdisjoint(_types(takes, _TAKEN)):
        return True
    given, taken = gives.item, takes.item
    return given is not None and taken is not None and _clash(given, taken)


def _types(declared: Returns, table: Mapping[str, set[str]]) -> set[str]:
    if declared.type == "choice":
        return {type_name(each) for each in declared.options["choices"]}
    return table.get(declared.type, {declared.type})


def _with_article(declared: Returns) -> str:
    return f"{'an' if declared.text[0] in 'aeiou' else 'a'} {declared.text}"
