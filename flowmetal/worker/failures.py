"""The failures that a worker itself makes: of what the interpreter refused, and of limits."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from flowmetal.language.diagnostics import Diagnostic
from flowmetal.language.host import Answer, full_answer, is_ok_answer
from flowmetal.settings import Limits
from flowmetal.values import Failure

_TOO_DEEP: Final = re.compile(r"^error: Starlark call stack overflow", re.MULTILINE)
_MAX_TOLD: Final = 300


def of_error(diagnostic: Diagnostic, text: str, kind: str, flow: str, place: str, limits: Limits) -> Failure:
    """The failure of an error in a flow; ``text`` is the interpreter's, ``place`` for one that has none of its own."""
    if kind == "error" and _TOO_DEEP.search(text):
        kind = "limit"
        diagnostic = replace(
            diagnostic, message=f"calls are nested deeper than {limits.call_depth}, the limit `call_depth`"
        )
    message = f"{diagnostic.message} ({diagnostic.hint})" if diagnostic.hint else diagnostic.message
    source = ":".join(diagnostic.place.split(":")[:2]) or place
    called = f"  called from:\n{diagnostic.trace}" if diagnostic.trace and diagnostic.excerpt else diagnostic.trace
    trace = f"{diagnostic.excerpt}\n{called}".strip("\n")
    return Failure(kind, message, flow=flow, source=source, trace=trace)


def out_of_fuel(flow: str, place: str, limits: Limits) -> Failure:
    """The failure of a flow that computed for too long between two actions."""
    message = (
        f"the flow computed for more than {limits.fuel_ticks:,} steps between two actions, its limit `fuel_ticks`"
        " (move heavy computing into an effect, or split it over several flows)"
    )
    return Failure("limit", message, flow=flow, source=place)


def how_it_ended(answer: Answer, line: str) -> tuple[str, str]:
    """How a run ended, for whom it should not have; and the line, by default its latest, ``line``."""
    if is_ok_answer(answer):
        return "(nothing: the flow has ended)", line
    failure = Failure.from_wire(full_answer(answer)[2])
    words = f"(nothing: the flow has ended in Err: {failure.kind}: {failure.message[:_MAX_TOLD]})"
    return words, failure.source or line
