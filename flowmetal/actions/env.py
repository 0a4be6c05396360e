"""``env``: a variable of the environment in which Flowmetal was started."""

from __future__ import annotations

import os
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    variable = args["variable"]
    if not variable or "=" in variable or "\0" in variable:
        raise EffectFailure(f"{context.action_name}: `{plain(variable)}` is not the name of a variable", kind="error")
    return [Want("env", variable, context.action_name)]


def _perform(_allowed: tuple[Allowed, ...], args: Arguments, _context: EffectContext) -> Wire:
    value = os.environ.get(args["variable"], args["default"])
    try:
        (value or "").encode("utf-8")
    except UnicodeEncodeError:
        raise EffectFailure(f"the variable {plain(args['variable'])} is not UTF-8 text") from None
    return value


ENV: Final = Effect(
    name="env",
    doc="The text of a variable of the environment, or `default` if it is not set.",
    parameters=(
        Parameter("variable", "str", "the variable's name"),
        Parameter("default", "str | None", "what stands for a variable that is not set", None),
    ),
    mode="inline",
    want=_want,
    perform=_perform,
    sample="",
)
"""Recorded, so that a run goes on with the value it began with."""
