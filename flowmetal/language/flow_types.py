"""What flows declare to take and to return, held against what a text passes them and what they return.

Only what is known for sure is judged (see ``following``), so what is found cannot work, but for lists that are empty.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Final

from flowmetal.language.argument_types import type_name
from flowmetal.language.arguments import Argument, ArgumentError
from flowmetal.language.flows import FlowInfo
from flowmetal.language.following import Follower, Typed
from flowmetal.language.returns import Returns
from flowmetal.language.scopes import Function, Scope, bound_in, parts_of, scope_of
from flowmetal.language.syntax import Finding, passed
from flowmetal.language.written import literal

_GIVEN: Final = {
    "path": {"string"},
    "timestamp": {"string"},
    "duration": {"string", "int", "float"},
}
"""The types of the values of a declared type, where it is not its own."""
_TAKEN: Final = _GIVEN | {"float": {"int", "float"}, "secret": {"string", "secret"}}
"""The types of the values that a declared argument takes."""


def check_types(tree: ast.Module, follower: Follower) -> Iterator[Finding]:
    """What flows are passed, or return, and effects are passed, that does not fit.

    Args:
        tree: a flow file.
        follower: of this file.
    """
    top, flows = follower.top, follower.flows
    implementing = implementing_functions(tree, flows, top) if follower.is_prelude("flow") else {}
    pending: list[tuple[ast.AST, Scope, FlowInfo | None]] = [(tree, top, None)]
    while pending:
        node, scope, flow = pending.pop()
        if isinstance(node, Function):
            flows_of_it = implementing.get(node, [])
            flow = flows_of_it[0] if len(flows_of_it) == 1 else None
        if isinstance(node, ast.Call):
            yield from _judge_call(node, scope, follower)
        if flow is not None and isinstance(node, ast.Return) and node.value is not None:
            yield from _judge_return(flow, node.value, scope, follower)
        elif flow is not None and isinstance(node, ast.Lambda):
            yield from _judge_return(flow, node.body, scope_of(node, scope), follower)
        pending += [(part, there, flow) for part, there in parts_of(node, scope)]


def implementing_functions(
    tree: ast.Module, flows: Mapping[str, FlowInfo], top: Scope
) -> dict[ast.FunctionDef | ast.Lambda, list[FlowInfo]]:
    """The functions of the file that implement its flows; ``flow`` must be the prelude's."""
    counts = bound_in(tree.body)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and counts[node.name] == 1}
    found: dict[ast.FunctionDef | ast.Lambda, list[FlowInfo]] = {}
    for name, info in flows.items():
        made = top.values.get(name)
        if isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and made.func.id == "flow" and made.args:
            first = made.args[0]
            function = functions.get(first.id) if isinstance(first, ast.Name) else first
            if isinstance(function, ast.FunctionDef | ast.Lambda):
                found.setdefault(function, []).append(info)
    return found


def _judge_call(node: ast.Call, scope: Scope, follower: Follower) -> Iterator[Finding]:
    """What a call of a flow or an effect passes that it does not take."""
    started = follower.started(node, scope)
    callee, args = (node.func, node.args) if started is None else (started, node.args[1:])
    flow = follower.flow(callee, scope)
    if flow is not None and flow.declared:
        declared = {argument.name: argument for argument in flow.arguments}
        for name, value in passed(list(declared), args, node.keywords):
            yield from _judge_passed(flow.name, declared[name], value, follower.typed(value, scope))
    effect = follower.effect(callee, scope)
    if effect:
        takes = {argument.name: argument for argument in follower.effects[effect]}
        for name, value in passed(list(takes), args, node.keywords):
            yield from _judge_passed(effect, takes[name], value, follower.typed(value, scope))


def _judge_passed(callee: str, argument: Argument, value: ast.expr, typed: Typed | None) -> Iterator[Finding]:
    """What does not fit of a value, which gives ``typed``, as an argument of a flow or an effect."""
    at = (value.lineno, value.col_offset + 1)
    takes = Returns(argument.type, argument.options)
    if takes.type == "any":
        return
    misfit = _misfit_of_literal(argument, value)
    told = f"`{callee}` takes {_with_article(takes)} as `{argument.name}`, and"
    if misfit:
        yield Finding(*at, f"{callee}: {misfit}")
    elif typed is not None and typed.how == "result":
        yield Finding(*at, f"{told} this is a Result of `{typed.of}`", "`unwrap(…)` gives its value")
    elif typed is not None and typed.returns is not None and _clash(typed.returns, takes):
        returned = f"`{typed.of}` returns {_with_article(typed.returns)}"
        yield Finding(*at, f"{told} {returned}", "convert it, or declare one type for both")


def _misfit_of_literal(argument: Argument, value: ast.expr) -> str:
    """Why a value that is written out is none for an argument; "" where it is one, or is computed."""
    is_written, wire = literal(value)
    if not is_written:
        return ""
    try:
        argument.validate(wire)
    except ArgumentError as misfit:
        return misfit.message
    return ""


def _judge_return(flow: FlowInfo, returned: ast.expr, scope: Scope, follower: Follower) -> Iterator[Finding]:
    """What a flow returns that it does not declare to."""
    typed = follower.typed(returned, scope)
    if flow.returns is None or typed is None or typed.how == "task" or typed.returns is None:
        return
    if _clash(typed.returns, flow.returns):
        told = f"`{flow.name}` returns {_with_article(flow.returns)}, and `{typed.of}`"
        told = f"{told} {_with_article(typed.returns)}"
        yield Finding(returned.lineno, returned.col_offset + 1, told, "convert it, or declare one type for both")


def _clash(gives: Returns, takes: Returns) -> bool:
    """Whether no value of one type is one of the other; of lists, whether none but empty ones are."""
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
