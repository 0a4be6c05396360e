"""The effects that a recorded run asked for, and what they gave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectFailure
from flowmetal.actions.registry import Registry
from flowmetal.journal.events import Event
from flowmetal.journal.framing import Field
from flowmetal.journal.journal import Journal
from flowmetal.rehearsal.calls import without_fingerprints
from flowmetal.values import Wire, failure_of, is_ok, substitute_tasks, unpack

_EFFECT_VERBS: Final = ("do", "start")


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One effect with its bound arguments, as they are in every run, and the Result that it had."""

    sequence: int
    effect: Effect
    args: Arguments
    result: Wire


def recorded_calls(journal: Journal, run_id: str, registry: Registry) -> list[RecordedCall]:
    """The effects of a run and of those below it that have a result, in the order in which they were asked for."""
    ids = chain([run_id], (header.run_id for header in journal.descendants(run_id)))
    found = chain.from_iterable(_calls_of(journal, each, registry) for each in ids)
    return sorted(found, key=lambda each: each.sequence)


def _calls_of(journal: Journal, run_id: str, registry: Registry) -> Iterator[RecordedCall]:
    open_actions: dict[int, tuple[int, Event]] = {}
    results: dict[int, Wire] = {}
    for sequence, event in journal.history(run_id):
        number = event.fields.get("number", 0)
        if event.kind == "action" and "value" not in event.fields:
            open_actions[number] = (sequence, event)
        elif event.kind == "result" and not event.fields.get("late") and number in open_actions:
            results[number] = result = _load(journal, run_id, event.fields["value"])
            asked_at, action = open_actions.pop(number)
            verb, _, name = str(action.fields["callee"]).partition(" ")
            if verb in _EFFECT_VERBS:
                args, kwargs = _load(journal, run_id, action.fields["args"])[:2]
                values = {each: _value_of(results.get(each)) for each in action.fields.get("deps", ())}
                try:
                    args, kwargs = substitute_tasks(args, values), substitute_tasks(kwargs, values)
                    effect, bound = registry.bind(name, args, dict(zip(kwargs[::2], kwargs[1::2], strict=True)))
                except EffectFailure:
                    continue  # it was no call of it
                yield RecordedCall(asked_at, effect, without_fingerprints(bound), result)


def failure_places(journal: Journal, run_id: str) -> dict[str, str]:
    """Where the actions of a run, and of those below it, came to a failure: places by its message."""
    found: dict[str, str] = {}
    for each in chain([run_id], (header.run_id for header in journal.descendants(run_id))):
        for _, event in journal.history(each):
            if event.kind == "result":
                result = _load(journal, each, event.fields["value"])
                if isinstance(result, dict) and "result" in result and not is_ok(result):
                    failure = failure_of(result)
                    found.setdefault(failure.message, failure.source)
    return found


def _load(journal: Journal, run_id: str, field: Field) -> Wire:
    return unpack(journal.payload(run_id, field))


def _value_of(result: Wire) -> Wire:
    return result["result"][1] if isinstance(result, dict) and "result" in result else None
