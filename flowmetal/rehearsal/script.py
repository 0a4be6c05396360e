"""A world that is made up: what effects give in a test, and what they were asked for.

A test tells its world by effects of its own, ``testing.answer`` and ``testing.calls``, which exist nowhere else.  The
effects of the product are *scripted*: none of them is performed, whatever the flow does, and none is decided on.  What
the test has said nothing about is Err, kind ``denied``, which is not tried again, and is remembered as *missing*: the
test fails however the flow took it.

All attempts at one action have their own answers; the same attempt made again, after a crash, gets the answer that it
got: as the world does with an idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, type_name
from flowmetal.actions.registry import Registry
from flowmetal.errors import did_you_mean
from flowmetal.permissions.decision import Allowed
from flowmetal.rehearsal.calls import call_text, fitted, given_args, same, without_fingerprints
from flowmetal.rehearsal.literals import literal
from flowmetal.values import Wire, failure_of, is_ok

SPACE: Final = "testing"
NAMES: Final = (f"{SPACE}.answer", f"{SPACE}.calls")
_LONGEST_SAMPLE: Final = 60


@dataclass(frozen=True, slots=True)
class Call:
    """One performing of an effect; ``key`` and ``attempt`` tell attempts apart, ``sequence`` counts from 1."""

    sequence: int
    key: str
    attempt: int
    effect: str
    args: Arguments


@dataclass(frozen=True, slots=True)
class Missing:
    """A call that the test had said nothing about; ``line`` is what to add to it."""

    effect: str
    call: str
    line: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What an effect gives for calls that ``fits``; ``results`` one after another if ``in_order``, else the first."""

    effect: str
    wanted: Mapping[str, Wire]
    results: Sequence[Wire]
    in_order: bool

    def fits(self, args: Arguments) -> bool:
        return all(name in args and same(args[name], value) for name, value in self.wanted.items())


@dataclass
class World:
    """What one test has said, and what its flows have asked for.

    Attributes:
        calls: every performing of an effect, in order.
        missing: what the test had not foreseen.
    """

    calls: list[Call] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    _rules: list[_Rule] = field(default_factory=list)
    _used: list[int] = field(default_factory=list)
    _answered: dict[tuple[str, int], Wire] = field(default_factory=dict)

    def copy(self) -> World:
        """The same world at this moment, which goes on by itself."""
        lists = (self.calls.copy(), self.missing.copy(), self._rules.copy(), self._used.copy())
        return World(*lists, self._answered.copy())

    def add(self, rule: _Rule) -> None:
        """Takes in what the test says."""
        self._rules.append(rule)
        self._used.append(0)

    def ask(self, effect: Effect, args: Arguments, key: str, attempt: int) -> Wire:
        """The Result of one performing."""
        self.calls.append(Call(len(self.calls) + 1, key, attempt, effect.name, args))
        known = self._answered.get((key, attempt))
        if known is None:
            known = self._answered[(key, attempt)] = self._result(effect, args)
        return known

    def _result(self, effect: Effect, args: Arguments) -> Wire:
        used_up = 0
        for at in range(len(self._rules) - 1, -1, -1):
            rule = self._rules[at]
            if rule.effect != effect.name or not rule.fits(args):
                continue
            if rule.in_order and self._used[at] >= len(rule.results):
                used_up = used_up or len(rule.results)
                continue
            result = rule.results[self._used[at] if rule.in_order else 0]
            self._used[at] += 1
            return result
        if effect.name == "secret":
            name = next(iter(args.values()))
            return {"result": [True, {"secret": [name, effect.sample["secret"][1]]}, None]}
        missing = _missing(effect, args, used_up)
        self.missing.append(missing)
        raise EffectFailure(f"{missing.call} {missing.reason}; add: {missing.line}", kind="denied")


def scripted(registry: Registry, world: Callable[[], World]) -> Registry:
    """Effects that ask ``world`` instead of being performed, and those by which a test tells it."""
    return Registry([*(_scripted(effect, world) for effect in registry.values()), *_own(registry, world)])


def _scripted(effect: Effect, world: Callable[[], World]) -> Effect:
    def perform(_allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
        result = world().ask(effect, without_fingerprints(args), context.idempotency_key, context.attempt)
        if is_ok(result):
            return result["result"][1]
        failure = failure_of(result)
        error = EffectFailure(failure.message, kind=failure.kind)
        error.details = failure.details
        raise error

    # Nothing is done, so nothing is wanted: a test needs no grants, and looks at nothing of the machine it runs on.
    return replace(effect, mode="inline", want=lambda args, context: [], perform=perform)


def _own(registry: Registry, world: Callable[[], World]) -> list[Effect]:
    def answer(_allowed: tuple[Allowed, ...], args: Arguments, _context: EffectContext) -> Wire:
        effect = _effect_of(registry, args["effect"])
        results = [_result_of(effect, each) for each in args["results"]]
        world().add(_Rule(effect.name, _wanted(effect, args), results, args["in_order"]))
        return None

    def calls(_allowed: tuple[Allowed, ...], args: Arguments, _context: EffectContext) -> Wire:
        effect = _effect_of(registry, args["effect"])
        wanted = _Rule(effect.name, _wanted(effect, args), (), False)
        found = [each for each in world().calls if each.effect == effect.name and wanted.fits(each.args)]
        return [given_args(effect, each.args) for each in found]

    call = (Parameter("effect", "any", ""), Parameter("args", "list", ""), Parameter("kwargs", "dict", ""))
    said = (Parameter("results", "list", ""), Parameter("in_order", "bool", ""), Parameter("by", "any", "", None))
    return [
        Effect(NAMES[0], "Says what an effect gives.", (*call, *said), "inline", lambda a, c: [], answer),
        Effect(NAMES[1], "The calls of an effect so far.", call, "inline", lambda a, c: [], calls),
    ]


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
    if type_name(value) == "result":
        ok, inner, _ = value["result"]
        return {"result": [True, fitted(effect, inner), None]} if ok else value
    return {"result": [True, fitted(effect, value), None]}


def _missing(effect: Effect, args: Arguments, used_up: int) -> Missing:
    shown = call_text(effect, args)
    sample = literal(effect.sample if type_name(effect.sample) != "struct" else {"dict": effect.sample["struct"]})
    gives = sample if len(sample) <= _LONGEST_SAMPLE else "…"
    line = f"t.answer(effects.{effect.name}, {shown}, gives = {gives})" if shown else f"t.answer(effects.{effect.name})"
    reason = f"is called once more than it has answers ({used_up})" if used_up else "has no answer"
    return Missing(effect.name, f"{effect.name}({shown})", line, reason)
