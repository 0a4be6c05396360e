"""``receive`` and ``signal``: messages between runs, and from outside.

The engine does these itself, for what they change is the journal; ``perform`` only gives what is to be done.
"""

from __future__ import annotations

from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, type_name
from flowmetal.identity import NAME_RULE, is_name, may_be_run_id
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire, to_text

_NO_DATA: Final = frozenset({"flow", "effect", "secret", "task"})


def check_name(name: str, what: str, context: EffectContext) -> None:
    """Raise unless ``what`` can be called ``name``.

    Raises:
        EffectFailure: of kind ``error``.
    """
    if not is_name(name):
        shown = to_text(name, 80)
        raise EffectFailure(f"{context.action_name}: {what} cannot be called {shown}: it is {NAME_RULE}", kind="error")


def check_data(value: Wire, context: EffectContext) -> None:
    """Raise unless a value means the same in every run: flows, effects and secrets belong to one.

    Raises:
        EffectFailure: of kind ``error``.
    """
    level = [value]
    while level:
        item = level.pop()
        if isinstance(item, list):
            level.extend(item)
        elif isinstance(item, dict):
            if type_name(item) in _NO_DATA:
                raise EffectFailure(
                    f"{context.action_name}: the value holds a {type_name(item)}, which another run cannot use: "
                    "give it data",
                    kind="error",
                )
            level.extend(item.values())


def _want_receive(args: Arguments, context: EffectContext) -> list[Want]:
    check_name(args["message"], "a message", context)
    return []  # what it gives was sent to this very run


def _want_signal(args: Arguments, context: EffectContext) -> list[Want]:
    if not may_be_run_id(args["run_id"]):
        raise EffectFailure(f"{context.action_name}: {to_text(args['run_id'], 80)} is no run id", kind="error")
    check_name(args["message"], "a message", context)
    check_data(args["value"], context)
    return [Want("signal", args["run_id"], context.action_name)]


def handed_on(_allowed: tuple[Allowed, ...], args: Arguments, _context: EffectContext) -> Wire:
    """The arguments, in order: what an effect of mode ``engine`` leaves to the engine."""
    return list(args.values())


MESSAGING: Final = (
    Effect(
        name="receive",
        doc="The value of the oldest message of a name that this run was sent and has not received; waits for one. "
        'With a `timeout` it is `Err(kind = "timeout")` when none has come by then.',
        parameters=(Parameter("message", "str", "what the message is called"),),
        mode="engine",
        want=_want_receive,
        perform=handed_on,
    ),
    Effect(
        name="signal",
        doc="Sends a message to a run, once: `Ok(None)`, or Err when there is no such run, it has finished, or has too "
        "many messages that it has not received.",
        parameters=(
            Parameter("run_id", "str", "the run; `fctx.run_id` is one's own"),
            Parameter("message", "str", "what the message is called"),
            Parameter("value", "any", "data: no flows, effects and secrets", None),
        ),
        mode="engine",
        want=_want_signal,
        perform=handed_on,
    ),
)
"""The effects of messages."""
