"""Calls of effects as data: compared, shown as a test would write them, answered by a part of what is due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowmetal.actions.effect import Arguments, Effect, type_name
from flowmetal.errors import UsageError, did_you_mean
from flowmetal.rehearsal.literals import literal
from flowmetal.values import Wire, pack


def fitted(effect: Effect, value: Wire) -> Wire:
    """A value as the effect would give it: where that is a struct, a dict or struct gives some of its fields.

    Raises:
        UsageError: a field that it has not.
    """
    kind = type_name(value)
    if type_name(effect.sample) != "struct" or kind not in ("dict", "struct"):
        return value
    fields = dict(_pairs(effect.sample["struct"]))
    for name, each in _pairs(value[kind]):
        if name not in fields:
            near = did_you_mean(str(name), fields)
            raise UsageError(
                f"what `{effect.name}` gives has no field `{name}`{near}", remedy=f"it has {', '.join(fields)}"
            )
        fields[name] = each
    return {"struct": [part for pair in fields.items() for part in pair]}


def _pairs(flat: list[Wire]) -> list[tuple[str, Wire]]:
    return [(str(name), value) for name, value in zip(flat[::2], flat[1::2], strict=True)]


def given_args(effect: Effect, args: Arguments) -> Wire:
    """The arguments of a call that are not at their default, as a dict of the language."""
    defaults = {each.name: each.default for each in effect.parameters if not each.required}
    flat: list[Wire] = []
    for name, value in args.items():
        if name in defaults and same(value, defaults[name]):
            continue
        if effect.is_variadic and ((name == "args" and value == []) or (name == "kwargs" and value == {"dict": []})):
            continue
        flat += (name, value)
    return {"dict": flat}


def call_text(effect: Effect, args: Arguments) -> str:
    """The arguments of a call as a test writes them: ``"data.csv"``, ``"https://…", json = {…}``."""
    flat = given_args(effect, args)["dict"]
    required = [each.name for each in effect.parameters if each.required]
    parts = []
    for name, value in _pairs(flat):
        by_position = required and name == required[0]
        if by_position:
            required.pop(0)
        parts.append(literal(value) if by_position else f"{name} = {literal(value)}")
    return ", ".join(parts)


def same(left: Wire, right: Wire) -> bool:
    """Whether two values are equal and of one kind, as replay compares."""
    return pack(left) == pack(right)


def without_fingerprints(args: Any) -> Any:
    """A secret is the same in every world, its fingerprint is not."""
    if isinstance(args, list):
        return [without_fingerprints(each) for each in args]
    if isinstance(args, Mapping):
        if len(args) == 1 and "secret" in args and isinstance(args["secret"], list):
            return {"secret": [args["secret"][0], ""]}
        return {name: without_fingerprints(each) for name, each in args.items()}
    return args
