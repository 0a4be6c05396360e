"""Declared arguments of a flow: binding, defaults and validation, the same for calls in flows and for command lines.

A declaration comes from the prelude's ``args.string(…)`` and friends as wire data:
``[name, type, required, default, doc, {"dict": options}]``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.language.policy import SETTINGS
from flowmetal.language.primitives.shared import PrimitiveError
from flowmetal.language.primitives.times import unix_seconds
from flowmetal.settings import parse_duration
from flowmetal.values import Wire, from_python, to_text

TYPES: Final = frozenset(
    {"string", "int", "float", "bool", "list", "dict", "choice", "duration", "timestamp", "path", "secret", "any"}
)
RESERVED: Final = frozenset(
    """and as assert async await break class continue def del elif else except finally for from global if import in is
    lambda load nonlocal not or pass raise return try while with yield""".split()
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ArgumentError(UsageError):
    """An argument that does not fit its declaration."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One declared argument; ``default`` and the values of ``options`` are wire data."""

    name: str
    type: str
    required: bool
    default: Wire
    doc: str
    options: Mapping[str, Wire]

    @staticmethod
    def from_wire(wire: Wire) -> Argument:
        """An argument as the prelude declares it.

        Raises:
            ArgumentError: a name that cannot be one, or a default that does not fit.
        """
        name, kind, required, default, doc, options = wire
        if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
            near = re.sub(r"\W", "_", str(name))
            raise ArgumentError(f"`{name}` cannot be the name of an argument", remedy=f"call it `{near}`" if _IDENTIFIER.fullmatch(near) else "")
        if name in RESERVED:
            raise ArgumentError(f"`{name}` is a reserved word of the language", remedy=f"call it `{name}_`")
        if not isinstance(doc, str):
            raise ArgumentError(f"the `doc` of the argument `{name}` is a text, not {to_text(doc, 60)}")
        settings = _options(options)
        try:
            _check_declaration(kind, settings)
            if not required and default is not None:
                default = _validate(kind, settings, default)
        except _Unfit as error:
            raise ArgumentError(f"the default of the argument `{name}` {error}") from None
        except _Misdeclared as error:
            raise ArgumentError(f"the argument `{name}`: {error}") from None
        return Argument(name, kind, required, default, doc, settings)

    def to_wire(self) -> Wire:
        """The declaration as plain data again."""
        pairs: list[Wire] = []
        for key, value in self.options.items():
            pairs += (key, value)
        return [self.name, self.type, self.required, self.default, self.doc, {"dict": pairs}]

    def validate(self, value: Wire) -> Wire:
        """The value as the flow gets it.

        Raises:
            ArgumentError: it does not fit.
        """
        try:
            return _validate(self.type, self.options, value)
        except _Unfit as error:
            raise ArgumentError(f"the argument `{self.name}` {error}") from None

    def parse(self, text: str) -> Wire:
        """The value of a command-line text, by type.

        Raises:
            ArgumentError: it does not fit.
        """
        try:
            return _validate(self.type, self.options, _parse(self.type, self.options, text))
        except _Unfit as error:
            raise ArgumentError(f"the argument `{self.name}` {error}") from None


class _Unfit(Exception):
    """Why a value does not fit; continues the words "the argument `x`"."""


class _Misdeclared(Exception):
    """Why a declaration is none; continues the words "the argument `x`:"."""


def _check_declaration(kind: str, options: Mapping[str, Wire]) -> None:
    if kind not in TYPES:
        raise _Misdeclared(f"there is no type `{kind}`")
    for low, high in (("min", "max"), ("min_length", "max_length")):
        bounds = [options[name] for name in (low, high) if options.get(name) is not None]
        for name in (low, high):
            if options.get(name) is not None and _number_of(options[name]) is None:
                raise _Misdeclared(f"its `{name}` is a number, not {to_text(options[name], 60)}")
        if len(bounds) == 2 and not _number_of(bounds[0]) <= _number_of(bounds[1]):  # type: ignore[operator]
            raise _Misdeclared(f"its `{low}` is above its `{high}`: no value would fit")
    item = options.get("of")
    if item is not None:
        _check_declaration(item[0], _options(item[1]))


def _number_of(value: Wire) -> float | None:
    """The number that wire data stands for, exact for an int of any size; None if it is none."""
    if type(value) in (int, float):
        return float(value) if type(value) is float else int(value)
    if isinstance(value, dict) and "int" in value:
        return int(value["int"])
    if isinstance(value, dict) and "float" in value:
        return float(value["float"])
    return None


def _options(wire: Wire) -> dict[str, Wire]:
    pairs = wire["dict"]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def bind(flow: str, declared: Sequence[Argument], args: Sequence[Wire], kwargs: Sequence[Wire]) -> list[Wire]:
    """Values for every declared argument, flat: name, value, name, value …

    ``args`` are by position, in the order of declaration; ``kwargs`` are flat name, value pairs.

    Raises:
        ArgumentError: too many, unknown (with the nearest name), given twice, missing, or unfit.
    """
    if len(args) > len(declared):
        count = f"{len(declared)} argument{'' if len(declared) == 1 else 's'}"
        raise ArgumentError(f"{flow} takes {count}, got {len(args)} by position")
    names = [argument.name for argument in declared]
    given: dict[str, Wire] = dict(zip(names, args, strict=False))
    for at in range(0, len(kwargs), 2):
        name = kwargs[at]
        if name not in names:
            remedy = f"it takes: {', '.join(names)}"
            if name in SETTINGS:
                remedy += f"; settings of a start are given by `options({flow}, {name} = …)`"
            raise ArgumentError(f"{flow} has no argument `{name}`{did_you_mean(name, names)}", remedy=remedy)
        if name in given:
            raise ArgumentError(f"{flow} got the argument `{name}` twice")
        given[name] = kwargs[at + 1]
    bound: list[Wire] = []
    for argument in declared:
        if argument.name in given:
            bound += (argument.name, argument.validate(given[argument.name]))
        elif argument.required:
            raise ArgumentError(f"{flow} needs the argument `{argument.name}` ({argument.type})")
        else:
            bound += (argument.name, argument.default)
    return bound


def _validate(kind: str, options: Mapping[str, Wire], value: Wire) -> Wire:
    if kind == "any":
        return value
    if kind == "list":
        return _validate_list(options, value)
    if kind == "choice":
        choices = options["choices"]
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            shown = ", ".join(to_text(choice) for choice in choices)
            raise _Unfit(f"must be one of {shown}, not {to_text(value)}")
        return value
    check = _CHECKS[kind]
    return check(options, value)


def _wrong(wanted: str, value: Wire) -> _Unfit:
    return _Unfit(f"must be {wanted}, not {to_text(value, 60)} ({_type_name(value)})")


def _type_name(value: Wire) -> str:
    if isinstance(value, dict):
        return str(next(iter(value)))
    return {"NoneType": "None", "str": "string"}.get(type(value).__name__, type(value).__name__)


def _check_string(options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    _check_bounds(options.get("min_length"), options.get("max_length"), len(value), "characters")
    return value


def _check_bounds(low: Wire, high: Wire, value: Wire, unit: str = "") -> None:
    """A NaN is in no bounds; numbers are compared exactly, at any size."""
    number, least, most = (_number_of(each) for each in (value, low, high))
    assert number is not None
    unit = f" {unit}" if unit else ""
    if least is not None and not number >= least:
        raise _Unfit(f"must be at least {least}{unit}, not {_shown(number)}")
    if most is not None and not number <= most:
        raise _Unfit(f"must be at most {most}{unit}, not {_shown(number)}")


def _shown(number: float) -> str:
    text = str(number)
    return text if len(text) <= 60 else f"{text[:20]}… ({len(text)} digits)"


def _check_int(options: Mapping[str, Wire], value: Wire) -> Wire:
    if type(value) is not int and not (isinstance(value, dict) and "int" in value):
        raise _wrong("an int", value)
    _check_bounds(options.get("min"), options.get("max"), value)
    return value


def _check_float(options: Mapping[str, Wire], value: Wire) -> Wire:
    if type(value) is int or (isinstance(value, dict) and "int" in value):
        try:
            value = float(_number_of(value) or 0)
        except OverflowError:
            raise _Unfit("must be a number that a float can hold") from None
    if type(value) is not float and not (isinstance(value, dict) and "float" in value):
        raise _wrong("a number", value)
    _check_bounds(options.get("min"), options.get("max"), value)
    return value


def _check_bool(_options: Mapping[str, Wire], value: Wire) -> Wire:
    if type(value) is not bool:
        raise _wrong("True or False", value)
    return value


def _check_dict(_options: Mapping[str, Wire], value: Wire) -> Wire:
    if not (isinstance(value, dict) and "dict" in value):
        raise _wrong("a dict", value)
    return value


def _check_duration(_options: Mapping[str, Wire], value: Wire) -> Wire:
    if type(value) in (int, float) or isinstance(value, str):
        try:
            parse_duration(value)
        except UsageError as error:
            raise _Unfit(f"is not a duration: {error.message} ({error.remedy})") from None
        return value
    raise _wrong("a duration such as 30 or '1h30m'", value)


def _check_timestamp(_options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, str):
        raise _wrong("an RFC 3339 timestamp", value)
    _parse_timestamp(value)
    return value


def _check_path(_options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, str) or not value or "\0" in value:
        raise _wrong("a path", value)
    return value


_CHECKS: Final = {
    "string": _check_string,
    "int": _check_int,
    "float": _check_float,
    "bool": _check_bool,
    "dict": _check_dict,
    "duration": _check_duration,
    "timestamp": _check_timestamp,
    "path": _check_path,
    "secret": _check_string,
}


def _validate_list(options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, list):
        raise _wrong("a list", value)
    item = options.get("of")
    if item is None:
        return value
    kind, item_options = item[0], _options(item[1])
    done = []
    for at, each in enumerate(value):
        try:
            done.append(_validate(kind, item_options, each))
        except _Unfit as error:
            raise _Unfit(f"at [{at}] {error}") from None
    return done


def moment_of(value: Wire) -> float:
    """Seconds since the epoch of an RFC 3339 text with an offset.

    Raises:
        ArgumentError: it is not one.
    """
    if not isinstance(value, str):
        raise ArgumentError(f"a moment is an RFC 3339 text such as 2030-01-01T00:00:00Z, not {to_text(value, 60)}")
    try:
        return _parse_timestamp(value)
    except _Unfit as error:
        raise ArgumentError(f"the timestamp {error}") from None


def _parse_timestamp(text: str) -> float:
    try:
        return unix_seconds(text)
    except PrimitiveError as error:
        raise _Unfit(f"is not an RFC 3339 timestamp: {error}") from None


def _parse(kind: str, options: Mapping[str, Wire], text: str) -> Wire:
    if kind == "int":
        if not re.fullmatch(r"[+-]?[0-9]{1,4096}", text):
            raise _Unfit(f"must be an int, not {text!r}")
        return from_python(int(text))  # 4,096 digits is what Python's own limit lets through
    if kind == "float":
        try:
            number = float(text)
        except ValueError:
            raise _Unfit(f"must be a number, not {text!r}") from None
        return from_python(number if not math.isnan(number) else math.nan)
    if kind == "bool":
        if text not in ("true", "false"):
            raise _Unfit(f"must be true or false, not {text!r}")
        return text == "true"
    if kind in ("dict", "any", "list"):
        return _parse_json(text)
    if kind == "choice":
        return next((choice for choice in options["choices"] if _choice_text(choice) == text), text)
    if kind == "duration" and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text) if "." in text else int(text)
    return text


def _choice_text(choice: Wire) -> str:
    return choice if isinstance(choice, str) else to_text(choice)


def _parse_json(text: str) -> Wire:
    try:
        return from_python(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise _Unfit(f"must be JSON: {error}") from None
