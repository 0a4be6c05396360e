"""``input``: a question that a person answers, at the terminal or by ``flowmetal answer``."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire

_MAX_PROMPT: Final = 2_000


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    if len(args["prompt"]) > _MAX_PROMPT:
        raise EffectFailure(
            f"{context.action_name}: a question has at most {_MAX_PROMPT:,} characters, not {len(args['prompt']):,}",
            kind="limit",
        )
    return []  # it gives a flow nothing that nobody gave it


def _perform(_allowed: tuple[Allowed, ...], args: Arguments, _context: EffectContext) -> Wire:
    return args["prompt"]


INPUT: Final = Effect(
    name="input",
    doc="Asks a person, on the terminal or by `flowmetal answer`, and gives the answer as text.",
    parameters=(Parameter("prompt", "str", "the question"),),
    mode="person",
    want=_want,
    perform=_perform,
    sample="",
)
