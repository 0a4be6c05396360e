"""A world that is made up: what a test has said that effects give, and what they were asked for.

All attempts at one action have their own answers.  The same attempt made again, after a crash, is known by its
idempotency key: it gets the answer that it got, and is one call, as where the key is heeded.  What is done without
looking at the key (``append``) is done again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectFailure, type_name
from flowmetal.rehearsal.calls import call_text, same
from flowmetal.rehearsal.literals import literal
from flowmetal.values import Wire

_WITHOUT_A_KEY: Final = frozenset({"append"})
_LONGEST_SAMPLE: Final = 60


@dataclass(frozen=True, slots=True)
class Call:
    """One performing of an effect; ``key`` and ``attempt`` tell attempts apart, ``text`` is how it is written."""

    key: str
    attempt: int
    effect: str
    args: Arguments
    text: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A call that the test had said nothing about, and why; ``line`` is what to add to it."""

    call: str
    line: str
    reason: str

    @property
    def message(self) -> str:
        """What the flow is told."""
        return f"{self.call} {self.reason}; add: {self.line}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What an effect gives for calls that have the ``wanted`` arguments: ``results`` one by one, or the first.

    With ``by``, the reference of a flow, what that gives, called with the arguments.
    """

    effect: str
    wanted: Mapping[str, Wire]
    results: Sequence[Wire] = ()
    in_order: bool = False
    by: str = ""

    def fits(self, call: Call) -> bool:
        """Whether it is about a call."""
        return self.effect == call.effect and all(
            name in call.args and same(call.args[name], value) for name, value in self.wanted.items()
        )


@dataclass
class World:
    """What one test has said, and what its flows have asked for.

    Attributes:
        calls: what was done, in order.
        repeated: what was asked for again, with the key of one of these.
        missing: what the test had not foreseen.
    """

    calls: list[Call] = field(default_factory=list)
    repeated: list[Call] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    _rules: dict[str, Rule] = field(default_factory=dict)
    _used: dict[str, int] = field(default_factory=dict)
    _answered: dict[tuple[str, str, int], Wire] = field(default_factory=dict)
    _asked: set[tuple[str, str, int]] = field(default_factory=set)

    def copy(self) -> World:
        """The same world at this moment, which goes on by itself."""
        lists = (self.calls.copy(), self.repeated.copy(), self.missing.copy())
        return World(*lists, self._rules.copy(), self._used.copy(), self._answered.copy(), self._asked.copy())

    def say(self, key: str, rule: Rule) -> None:
        """Takes in what the test says under an idempotency key."""
        self._rules[key] = rule

    def ask(self, effect: Effect, args: Arguments, key: str, attempt: int) -> Wire | Rule:
        """The Result of one performing, or the rule that has a flow to give it; then ``remember`` follows.

        Raises:
            EffectFailure: the test had not foreseen it.
        """
        call = Call(key, attempt, effect.name, args, f"{effect.name}({call_text(effect, args)})")
        known = self._answered.get((effect.name, key, attempt))
        if known is not None and effect.name not in _WITHOUT_A_KEY:
            self.repeated.append(call)
            return known
        if known is not None or (effect.name, key, attempt) not in self._asked:
            self.calls.append(call)  # else it was asked for, and the flow that was to answer was cut off
            self._asked.add((effect.name, key, attempt))
        if known is None:
            known = self._result(effect, call)
            if not isinstance(known, Rule):
                self.remember(effect, key, attempt, known)
        return known

    def remember(self, effect: Effect, key: str, attempt: int, result: Wire) -> None:
        """What the same performing gets when it is asked for again."""
        self._answered[(effect.name, key, attempt)] = result

    def _result(self, effect: Effect, call: Call) -> Wire | Rule:
        used_up = 0
        for key, rule in reversed(self._rules.items()):
            if not rule.fits(call):
                continue
            used = self._used.get(key, 0)
            if rule.in_order and used >= len(rule.results):
                used_up = used_up or len(rule.results)
                continue
            self._used[key] = used + 1
            if rule.by:
                return rule
            return rule.results[used if rule.in_order else 0]
        if effect.name == "secret":
            name = next(iter(call.args.values()))
            return {"result": [True, {"secret": [name, effect.sample["secret"][1]]}, None]}
        missing = _missing(effect, call.args, used_up)
        self.missing.append(missing)
        raise EffectFailure(missing.message, kind="denied")


def _missing(effect: Effect, args: Arguments, used_up: int) -> Missing:
    shown = call_text(effect, args)
    sample = literal(effect.sample if type_name(effect.sample) != "struct" else {"dict": effect.sample["struct"]})
    gives = sample if len(sample) <= _LONGEST_SAMPLE else "…"
    line = f"t.answer(effects.{effect.name}, {shown}, gives = {gives})" if shown else f"t.answer(effects.{effect.name})"
    reason = f"is called once more than it has answers ({used_up})" if used_up else "has no answer"
    return Missing(f"{effect.name}({shown})", line, reason)
