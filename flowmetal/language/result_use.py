"""Where a text takes a Result, or a Task, for the value that it stands for, and where it drops a Result unseen.

A call of a flow or of an effect gives a Result, Ok or Err.  Who forgets that gets an error of the interpreter in a
place that may be reached on a bad day only, or none at all: a Result is true whatever is in it, is equal to no value,
and an Err that nobody looks at is lost.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from flowmetal.language.following import ACTIONS, START, WAIT, Follower, Typed
from flowmetal.language.scopes import Function, Scope, bound_in, parts_of, scope_of
from flowmetal.language.syntax import CONTEXT, Finding

_FIELDS: Final = {"result": ("ok", "value", "error"), "task": ("id", "name")}
_TELL: Final = ("is_ok", "is_err")
_TAKE_RESULTS: Final = ("unwrap", *_TELL)
_OF_VALUES: Final = frozenset(
    [
        *("all", "any", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range", "reversed"),
        *("round", "seconds", "sha256", "sorted", "sum", "tuple", "zip"),
    ]
)
"""Functions that take values, and never a Result as their first argument."""
_OF_ITEMS: Final = ("all", "any", "max", "min", "sorted", "sum")
"""Those that look at every item of their argument."""
_TAKE_FLOWS: Final = (f"{ACTIONS}.defer", "parallel_map")
_OF_TASKS: Final = (f"{ACTIONS}.wait", f"{ACTIONS}.cancel")


def check_results(tree: ast.Module, follower: Follower, *, may_drop: bool) -> Iterator[Finding]:
    """Every use of a Result or a Task in a flow file that cannot be meant.

    Args:
        tree: a flow file.
        follower: of this file.
        may_drop: whether it may let Results go, as tests do, which look at what was done.
    """
    counts = bound_in(tree.body)
    functions = (node.name for node in tree.body if isinstance(node, ast.FunctionDef))
    judge = _Judge(follower, {name for name in functions if counts[name] == 1})
    # What the body of a file lets go is not lost: a run tells of it.
    pending: list[tuple[ast.AST, Scope, bool]] = [(tree, follower.top, False)]
    while pending:
        node, scope, is_within = pending.pop()
        parts = list(parts_of(node, scope))
        for value, how in _used(node):
            yield from judge.use(value, how, next((there for part, there in parts if part is value), scope))
        if isinstance(node, ast.Call):
            yield from judge.call(node, scope)
        elif isinstance(node, ast.Attribute):
            yield from judge.member(node, scope)
        elif isinstance(node, ast.Expr) and is_within and not may_drop:
            yield from judge.dropped(node.value, scope)
        is_within |= isinstance(node, Function)
        pending += [(part, there, is_within) for part, there in parts]


def _used(node: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """What of an expression or statement is used as a value only can be, and in which way."""
    if isinstance(node, ast.If | ast.IfExp):
        yield node.test, "truth"
    elif isinstance(node, ast.BoolOp):
        yield from ((each, "truth") for each in node.values[:-1])
    elif isinstance(node, ast.UnaryOp):
        yield node.operand, "truth" if isinstance(node.op, ast.Not) else "operand"
    elif isinstance(node, ast.BinOp):
        yield node.left, "operand"
        if not isinstance(node.op, ast.Mod):  # "%s" % result shows it
            yield node.right, "operand"
    elif isinstance(node, ast.Subscript):
        yield node.value, "items"
    elif isinstance(node, ast.For):
        yield node.iter, "items"
    elif isinstance(node, ast.ListComp | ast.DictComp):
        for part in node.generators:
            yield part.iter, "items"
            yield from ((each, "truth") for each in part.ifs)
    elif isinstance(node, ast.Compare):
        yield from _compared(node)


def _compared(node: ast.Compare) -> Iterator[tuple[ast.expr, str]]:
    operands = [node.left, *node.comparators]
    for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
        if isinstance(operator, ast.In | ast.NotIn):
            yield right, "items"
            if _is_literal(right):
                yield left, "equality"
        elif not isinstance(operator, ast.Eq | ast.NotEq):
            yield from ((left, "order"), (right, "order"))
        elif _is_literal(right):  # two Results may be equal
            yield left, "equality"
        elif _is_literal(left):
            yield right, "equality"


_WORDS: Final = {
    "truth": "is true, whatever is in it",
    "operand": "cannot be computed with",
    "items": "has no items",
    "order": "cannot be compared",
    "equality": "is equal to no value",
}


class _Judge:
    """Says what is wrong in one place."""

    def __init__(self, follower: Follower, functions: set[str]) -> None:
        self._follower = follower
        self._functions = functions

    def use(self, node: ast.expr, how: str, scope: Scope) -> Iterator[Finding]:
        """A Result or Task used as a value."""
        typed = self._handle(node, scope)
        if typed is not None and typed.how != "results":
            advice = _value_of(typed)
            if how == "truth" and typed.how == "result":
                advice = "`is_ok(…)` and `is_err(…)` tell how it came out"
            yield _finding(node, f"{_named(typed)} {_WORDS[how]}", advice)

    def member(self, node: ast.Attribute, scope: Scope) -> Iterator[Finding]:
        """A member that only the value has."""
        typed = self._handle(node.value, scope)
        if typed is None:
            return
        is_wrong = node.attr in _FIELDS["result"] if typed.how == "results" else node.attr not in _FIELDS[typed.how]
        if is_wrong:
            line, column = node.end_lineno or node.lineno, (node.end_col_offset or 0) - len(node.attr) + 1
            advice = f"write `{node.attr}(…)`" if node.attr in _TELL and typed.how == "result" else _value_of(typed)
            yield Finding(line, column, f"{_named(typed)} has no `{node.attr}`", advice)

    def call(self, node: ast.Call, scope: Scope) -> Iterator[Finding]:
        """A call that is given a Result where it takes a Task or a value, and the like."""
        if not node.args:
            return
        first = node.args[0]
        called = self._follower.called(node.func, scope)
        started = self._follower.started(node, scope)
        if started is not None or called in _TAKE_FLOWS:
            yield from self._start(called.rpartition(".")[2], started or first, scope)
            return
        typed = self._handle(first, scope)
        if typed is None:
            return
        if typed.how == "results":
            has_key = any(each.arg == "key" for each in node.keywords)
            if called in (*_TAKE_RESULTS, *_OF_ITEMS) and not has_key:
                takes = "one Result" if called in _TAKE_RESULTS else "values"
                yield _finding(first, f"`{called}` takes {takes}, and this is {_a_named(typed)}", _value_of(typed))
        elif called in _TAKE_RESULTS and typed.how == "task":
            yield _finding(first, f"`{called}` takes a Result, and this is {_a_named(typed)}", _RESULT_OF_TASK)
        elif called in _OF_TASKS and typed.how == "result":
            what = called.rpartition(".")[2]
            yield _finding(
                first,
                f"`{what}` takes a Task, and this is {_a_named(typed)}",
                "it is there already; `fctx.actions.run(f, …)` starts without waiting and gives a Task",
            )
        elif called in _OF_VALUES and len(node.args) == 1:  # `max` and `min` of several may have a key
            yield _finding(first, f"`{called}` takes a value, and this is {_a_named(typed)}", _value_of(typed))

    def _start(self, called: str, started: ast.expr, scope: Scope) -> Iterator[Finding]:
        typed = self._handle(started, scope)
        if typed is not None:
            remedy = f"name the flow without calling it: `{called}(f, x)`, not `{called}(f(x))`"
            yield _finding(started, f"`{called}` takes a flow or an effect, not {_a_named(typed)}", remedy)
        is_function = isinstance(started, ast.Lambda) or (
            isinstance(started, ast.Name) and started.id in self._functions and scope.is_of_module(started.id)
        )
        if is_function:
            name = started.id if isinstance(started, ast.Name) else "lambda …"
            yield _finding(
                started,
                f"`{called}` takes a flow or an effect, not the plain function `{name}`",
                f"make it one, at the top of the file: `flow({name})`",
            )

    def dropped(self, node: ast.expr, scope: Scope) -> Iterator[Finding]:
        """Results that a statement gives to nobody."""
        if isinstance(node, ast.IfExp):
            yield from self.dropped(node.body, scope)
            yield from self.dropped(node.orelse, scope)
        elif isinstance(node, ast.BoolOp):
            yield from self.dropped(node.values[-1], scope)
        elif isinstance(node, ast.ListComp):
            yield from self.dropped(node.elt, scope_of(node, scope))
        elif isinstance(node, ast.Call):
            called = self._follower.called(node.func, scope)
            typed = self._handle(node, scope)
            if called == WAIT and typed is None:
                typed = Typed("results", "wait")
            if typed is None or typed.how == "task" or called == START:  # to let it go is what `start` is for
                return
            told, remedy = f"the Result{f' of `{typed.of}`' if typed.of else ''} is dropped", "`unwrap(…)`"
            if typed.how == "results":
                told, remedy = f"the Results of `{typed.of}` are dropped", "`[unwrap(result) for result in …]`"
            remedy = f"{remedy} ends the flow with a failure; `_ = …` says that it may fail"
            yield _finding(node, f"{told}: nobody would hear of an Err", remedy)

    def _handle(self, node: ast.expr, scope: Scope) -> Typed | None:
        """What an expression gives, if that is a Result or a Task."""
        typed = self._follower.typed(node, scope)
        return typed if typed is not None and typed.how not in ("value", "list") else None


_RESULT_OF_TASK: Final = f"`{CONTEXT}.actions.wait(…)` gives its Result"


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return False
    return True


def _named(typed: Typed) -> str:
    return f"the {_kind(typed)} of `{typed.of}`" if typed.of else f"a {_kind(typed)}"


def _a_named(typed: Typed) -> str:
    return f"a {_kind(typed)} of `{typed.of}`" if typed.of else f"a {_kind(typed)}"


def _kind(typed: Typed) -> str:
    return {"task": "Task", "results": "list of Results"}.get(typed.how, "Result")


def _value_of(typed: Typed) -> str:
    if typed.how == "results":
        return "`[unwrap(result) for result in …]` are their values"
    if typed.how == "task":
        return f"`unwrap({CONTEXT}.actions.wait(…))` gives its value"
    return "`unwrap(…)` gives its value"


def _finding(node: ast.expr, message: str, hint: str) -> Finding:
    return Finding(node.lineno, node.col_offset + 1, message, hint)
