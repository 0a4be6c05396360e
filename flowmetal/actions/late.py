"""The code of effects that most runs never use, imported when the first of them is asked for.

What takes long to load stands here as a function, and nowhere else: the start of every run would pay for it.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from importlib import import_module
from typing import Any

from flowmetal.actions.effect import Arguments, Effect, EffectContext
from flowmetal.permissions.wants import Allowed, Want
from flowmetal.values import Wire


def load_effects(module: str) -> Iterator[Effect]:
    """The effects that a module of this package holds, alone or in a list."""
    for value in vars(import_module(f"flowmetal.actions.{module}")).values():
        if isinstance(value, Effect):
            yield value
        elif isinstance(value, list | tuple):
            yield from (each for each in value if isinstance(each, Effect))


def http_want(method: str, args: Arguments, context: EffectContext) -> list[Want]:
    """What a request wants: the host, then the file, then the secrets."""
    from flowmetal.actions.http_want import want

    return want(method, args, context)


def http_perform(
    method: str, allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext
) -> Coroutine[Any, Any, Wire]:
    """Sends a request."""
    from flowmetal.actions.http_perform import perform

    return perform(method, allowed, args, context)
