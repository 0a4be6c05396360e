"""``state.get`` and ``state.set``: values by name that the runs of a home share.

The engine does these itself, in the transaction of their results; ``perform`` only gives what is to be done.
"""

from __future__ import annotations

from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter
from flowmetal.actions.messaging import check_data, check_name, handed_on
from flowmetal.permissions.decision import Want


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    check_name(args["key"], "shared state", context)
    check_data(args.get("value"), context)
    expected = args.get("expected_version")
    if expected is not None and not 0 <= expected < 2**53:
        raise EffectFailure(f"{context.action_name}: a version is a whole number from 0, not {expected}", kind="error")
    return [Want("state", args["key"], context.action_name)]


STATE: Final = (
    Effect(
        name="state.get",
        doc="What a name of the shared state holds: `struct(value, version)`; `version` counts from 1 and is 0, with "
        "`value` None, of a name that nobody has set.",
        parameters=(Parameter("key", "str", "the name of what is shared"),),
        mode="engine",
        want=_want,
        perform=handed_on,
        sample={"struct": ["value", None, "version", 0]},
    ),
    Effect(
        name="state.set",
        doc="Sets a name of the shared state and gives its new version. With `expected_version` it is "
        '`Err(kind = "conflict")` unless that is the version it has: 0 for a name that nobody has set.',
        parameters=(
            Parameter("key", "str", "the name of what is shared"),
            Parameter("value", "any", "data: no flows, effects and secrets"),
            Parameter("expected_version", "int | None", "the version that it must have", None),
        ),
        mode="engine",
        want=_want,
        perform=handed_on,
        sample=1,
    ),
)
"""The effects of shared state."""
