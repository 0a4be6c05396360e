"""Values that a text writes out, where only some will do: durations, settings, and forms for numbers.

The interpreter would tell when it comes there; what stands in the text can be told before.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from flowmetal.errors import UsageError, ValueCodecError
from flowmetal.language.from_python import FORMS
from flowmetal.language.syntax import CONTEXT, Finding
from flowmetal.policy import check_policy
from flowmetal.settings import parse_duration
from flowmetal.values import Wire, from_python

_DURATIONS: Final = frozenset({"duration", "timeout", "grace"})
_BARE: Final = frozenset({"sleep", "wait", "wait_any", "receive", "defer", "safe_point"})
"""Actions that are global names too."""
_SPECIFIED: Final = re.compile(r"(?<!\{)(?:\{\{)*\{\w*(?:![rs])?:([^{}]*)\}")
"""A replacement field with a format specification, which the language has not."""
_FORMS: Final = (
    (re.compile(r"\."), '"{:.2f}".format(x)'),
    (re.compile(r","), '"{:,}".format(x)'),
    (re.compile(r"^[ds]?$"), '"{:d}".format(x)'),
    (re.compile(r""), '"{:>5}".format(x)'),
)


def check_setting(callee: str, setting: str, value: ast.expr, kind: str) -> Iterator[Finding]:
    """What is wrong with a setting that is written out; ``kind`` is what ``check_policy`` takes."""
    yield from _judged(callee, value, lambda wire: check_policy({"dict": [setting, wire]}, kind))


def check_parameter(callee: str, parameter: str, value: ast.expr) -> Iterator[Finding]:
    """What is wrong with an argument that is written out, of something that the prelude or the context has."""
    if parameter in _DURATIONS and (callee in _BARE or callee.startswith(f"{CONTEXT}.actions.")):
        yield from _judged(callee, value, parse_duration)


def _judged(callee: str, value: ast.expr, judge: Callable[[Any], object]) -> Iterator[Finding]:
    is_written, wire = literal(value)
    if is_written and wire is not None:  # None is as if nothing were said
        try:
            judge(wire)
        except UsageError as error:
            yield Finding(value.lineno, value.col_offset + 1, f"{callee}: {error.message}", error.remedy)


def check_format(node: ast.Call) -> Iterator[Finding]:
    """A form for a number or a width in the text of a ``format`` call."""
    function = node.func
    if not (isinstance(function, ast.Attribute) and function.attr == "format"):
        return
    text = function.value.value if isinstance(function.value, ast.Constant) else None
    found = _SPECIFIED.search(text) if isinstance(text, str) else None
    if found is not None:
        form = next(form for pattern, form in _FORMS if pattern.search(found.group(1)))
        yield Finding(node.lineno, node.col_offset + 1, f"`format` knows no `:{found.group(1)}`", FORMS[form])


def literal(node: ast.expr) -> tuple[bool, Wire]:
    """Whether the value of an expression is written out, and which it is."""
    try:
        return True, from_python(ast.literal_eval(node))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, ValueCodecError):
        return False, None
