"""Effects whose work a test does: they take the places of the real ones, whose names the prelude knows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from flowmetal.actions.effect import Arguments
from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.values import Wire


def scripted(
    mode: Literal["inline", "thread", "async"] = "thread", **performed: Callable[[Arguments], Wire | Awaitable[Wire]]
) -> Registry:
    """The standard effects, those of these names performed by functions of their arguments.

    With ``mode`` async these are coroutine functions.  A function may raise ``EffectFailure``, block, or raise what no
    effect may.
    """

    def changed(name: str, perform: Callable[[Arguments], Wire | Awaitable[Wire]]) -> None:
        effects[name] = replace(STANDARD[name], mode=mode, perform=lambda _allowed, args, _context: perform(args))

    effects = dict(STANDARD)
    for name, perform in performed.items():
        changed(name, perform)
    return Registry(effects.values())
