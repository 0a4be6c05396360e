"""Effects that are scripted: none of them is performed, whatever the flow does, and none is decided on.

A test tells its world by effects of its own, ``testing.answer`` and ``testing.calls``, which exist nowhere else.  What
it has said nothing about is Err, kind ``denied``, which is not tried again, and is remembered as missing: the test
fails however the flow took it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, type_name
from flowmetal.actions.registry import Registry
from flowmetal.errors import UsageError, did_you_mean
from flowmetal.permissions.decision import Allowed
from flowmetal.rehearsal.calls import fitted, given_args, without_fingerprints
from flowmetal.rehearsal.world import Rule, World
from flowmetal.values import Wire, failure_of, is_ok, ok

SPACE: Final = "testing"
NAMES: Final = (f"{SPACE}.answer", f"{SPACE}.calls")


AskFlow = Callable[[str, Arguments], Awaitable[Wire]]
"""Calls the flow of a reference with arguments by name; gives its Result."""


def scripted(registry: Registry, world: Callable[[], World], ask_flow: AskFlow) -> Registry:
    """Effects that ask ``world`` instead of being performed, and those by which a test tells it."""
    return Registry([*(_scripted(effect, world, ask_flow) for effect in registry.values()), *_own(registry, world)])


def _scripted(effect: Effect, world: Callable[[], World], ask_flow: AskFlow) -> Effect:
    async def perform(_allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
        now, key = world(), context.idempotency_key
        result = now.ask(effect, without_fingerprints(args), key, context.attempt)
        if isinstance(result, Rule):
            answer = await ask_flow(result.by, args)
            result = _result_of(effect, answer["result"][1]) if is_ok(answer) else answer
            now.remember(effect, key, context.attempt, result)
        if is_ok(result):
            return result["result"][1]
        failure = failure_of(result)
        error = EffectFailure(failure.message, kind=failure.kind)
        error.details = failure.details
        raise error

    # Nothing is done, so nothing is wanted: a test needs no grants, and looks at nothing of the machine it runs on.
    return replace(effect, mode="async", want=lambda args, context: [], perform=perform)


def _own(registry: Registry, world: Callable[[], World]) -> list[Effect]:
    def answer(_allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
        effect = _effect_of(registry, args["effect"])
        results = [_result_of(effect, each) for each in args["results"]]
        world().say(
            context.idempotency_key,
            Rule(effect.name, _wanted(effect, args), results, args["in_order"], _reference_of(args["by"])),
        )
        return None

    def calls(_allowed: tuple[Allowed, ...], args: Arguments, _context: EffectContext) -> Wire:
        effect = _effect_of(registry, args["effect"])
        wanted = Rule(effect.name, _wanted(effect, args))
        return [given_args(effect, each.args) for each in world().calls if wanted.fits(each)]

    call = (Parameter("effect", "any", ""), Parameter("args", "list", ""), Parameter("kwargs", "dict", ""))
    said = (Parameter("results", "list", ""), Parameter("in_order", "bool", ""), Parameter("by", "any", "", None))
    return [
        Effect(NAMES[0], "Says what an effect gives.", (*call, *said), "inline", lambda a, c: [], answer),
        Effect(NAMES[1], "The calls of an effect so far.", call, "inline", lambda a, c: [], calls),
    ]


def _reference_of(by: Wire) -> str:
    if by is None:
        return ""
    if type_name(by) != "flow":
        raise EffectFailure(f"`by` is a flow, not a value of type {type_name(by)}", kind="error")
    return str(by["flow"][0])


def _effect_of(registry: Registry, wire: Wire) -> Effect:
    name = wire["effect"][0] if type_name(wire) == "effect" else wire
    if not isinstance(name, str) or name not in registry:
        near = did_you_mean(name, registry) if isinstance(name, str) else ""
        shown = f"`{name}`" if isinstance(name, str) else f"a value of type {type_name(wire)}"
        raise EffectFailure(f"there is no effect {shown}{near}; write `effects.read`, or its name", kind="error")
    return registry[name]


def _wanted(effect: Effect, args: Arguments) -> dict[str, Wire]:
    """The arguments that a call must have, by parameter name."""
    names = [parameter.name for parameter in effect.parameters]
    by_position = list(args["args"])
    wanted = dict(zip(names, by_position, strict=False))
    flat = args["kwargs"]["dict"]
    by_name = dict(zip(flat[::2], flat[1::2], strict=True))
    if effect.is_variadic and len(by_position) > len(names):
        wanted["args"] = by_position[len(names) :]
    elif len(by_position) > len(names):
        raise EffectFailure(f"{effect.name} takes no {len(by_position)} arguments: {effect.signature()}", kind="error")
    for name, value in by_name.items():
        if name not in names:
            near = did_you_mean(str(name), names)
            raise EffectFailure(f"{effect.name} has no argument `{name}`{near}: {effect.signature()}", kind="error")
        wanted[name] = value
    found: dict[str, Wire] = without_fingerprints(wanted)
    return found


def _result_of(effect: Effect, value: Wire) -> Wire:
    try:
        if type_name(value) == "result":
            went_well, inner, _ = value["result"]
            return ok(fitted(effect, inner)) if went_well else value
        return ok(fitted(effect, value))
    except UsageError as error:
        raise EffectFailure(f"{error.message}; {error.remedy}", kind="error") from None
