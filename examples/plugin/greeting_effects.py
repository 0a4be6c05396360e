"""The effects ``greeting.greet`` and ``greeting.sign``: what a package that brings effects consists of."""

from __future__ import annotations

import asyncio
import os

from flowmetal.actions import Effect, EffectContext, EffectFailure, Parameter
from flowmetal.permissions import Allowed, Want


def _want_greet(_args: dict, _context: EffectContext) -> list[Want]:
    return []  # beside `effect=greeting.greet`, which every effect of a plug-in wants


async def _greet(_allowed: tuple[Allowed, ...], args: dict, context: EffectContext) -> str:
    """On the engine's loop: it may wait, must not block, and is cancelled when its time is up."""
    await asyncio.sleep(0.01)
    if not args["person"]:
        raise EffectFailure(f"{context.action_name}: there is nobody to greet", details={"person": args["person"]})
    return f"{args['greeting']}, {args['person']}!"


def _want_sign(args: dict, context: EffectContext) -> list[Want]:
    """What it is about to do, as data: the gate decides, and denials name it."""
    return [Want("env", args["variable"], context.action_name)]


def _sign(allowed: tuple[Allowed, ...], args: dict, _context: EffectContext) -> str:
    """In a thread: it may block.  It is given one decision for each of its wants, and does no more than they say."""
    (variable,) = allowed
    return f"{args['text']} -- {os.environ.get(variable.want.resource, 'nobody')}"


EFFECTS = [
    Effect(
        name="greeting.greet",
        doc="Greets a person.",
        parameters=(
            Parameter("person", "str", "who is greeted"),
            Parameter("greeting", "str", "how", "Hello"),
        ),
        mode="async",
        want=_want_greet,
        perform=_greet,
        sample="Hello, somebody!",
    ),
    Effect(
        name="greeting.sign",
        doc="Adds a name, from a variable of the environment, to a text.",
        parameters=(Parameter("text", "str", "the text"), Parameter("variable", "str", "the variable", "USER")),
        mode="thread",
        want=_want_sign,
        perform=_sign,
        sample="text -- nobody",
    ),
]
