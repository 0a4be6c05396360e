"""The types of declared arguments: whether a value fits one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.language.primitives.shared import PrimitiveError
from flowmetal.language.primitives.times import unix_seconds
from flowmetal.settings import parse_duration
from flowmetal.values import Wire, to_text

TYPES: Final = frozenset(
    {"string", "int", "float", "bool", "list", "dict", "choice", "duration", "timestamp", "path", "secret", "any"}
)


class Unfit(Exception):
    """Why a value does not fit; continues the words "the argument `x`"."""


class Misdeclared(Exception):
    """Why a declaration is none; continues the words "the argument `x`:"."""


def check_declaration(kind: str, options: Mapping[str, Wire]) -> None:
    """Raise unless some value fits.

    Raises:
        Misdeclared: an unknown type, or bounds that are none.
    """
    if kind not in TYPES:
        raise Misdeclared(f"there is no type `{kind}`")
    for low, high in (("min", "max"), ("min_length", "max_length")):
        bounds = [options[name] for name in (low, high) if options.get(name) is not None]
        for name in (low, high):
            if options.get(name) is not None and _number_of(options[name]) is None:
                raise Misdeclared(f"its `{name}` is a number, not {to_text(options[name], 60)}")
        if len(bounds) == 2 and not _number_of(bounds[0]) <= _number_of(bounds[1]):  # type: ignore[operator]
            raise Misdeclared(f"its `{low}` is above its `{high}`: no value would fit")
    item = options.get("of")
    if item is not None:
        check_declaration(item[0], options_of(item[1]))


def _number_of(value: Wire) -> float | None:
    """The number that wire data stands for, exact for an int of any size; None if it is none."""
    if type(value) in (int, float):
        return float(value) if type(value) is float else int(value)
    if isinstance(value, dict) and "int" in value:
        return int(value["int"])
    if isinstance(value, dict) and "float" in value:
        return float(value["float"])
    return None


def options_of(wire: Wire) -> dict[str, Wire]:
    """A declaration's options by name, of their wire data."""
    pairs = wire["dict"]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def validate_value(kind: str, options: Mapping[str, Wire], value: Wire) -> Wire:
    """The value as a flow gets it: an int as a float where one is wanted, else as it is.

    Raises:
        Unfit: it does not fit.
    """
    if kind == "any":
        return value
    if kind == "list":
        return _validate_list(options, value)
    if kind == "choice":
        choices = options["choices"]
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            shown = ", ".join(to_text(choice) for choice in choices)
            near = (
                did_you_mean(value, [each for each in choices if isinstance(each, str)]) if type(value) is str else ""
            )
            raise Unfit(f"must be one of {shown}, not {to_text(value)}{near}")
        return value
    check = _CHECKS[kind]
    return check(options, value)


def _wrong(wanted: str, value: Wire) -> Unfit:
    return Unfit(f"must be {wanted}, not {to_text(value, 60)} ({type_name(value)})")


def type_name(value: Wire) -> str:
    """What the language calls the type of a value."""
    if isinstance(value, dict):
        return str(next(iter(value)))
    return {"NoneType": "None", "str": "string"}.get(type(value).__name__, type(value).__name__)


def _check_string(options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, str):
        raise _wrong("a string", value)
    _check_bounds(options.get("min_length"), options.get("max_length"), len(value), "characters")
    return value


def _check_secret(_options: Mapping[str, Wire], value: Wire) -> Wire:
    """A name, or a reference that a flow passes on."""
    if isinstance(value, str) and value:
        return {"secret": [value, ""]}
    if isinstance(value, dict) and "secret" in value:
        return value
    raise _wrong("the name of a secret", value)


def _check_bounds(low: Wire, high: Wire, value: Wire, unit: str = "") -> None:
    """A NaN is in no bounds; numbers are compared exactly, at any size."""
    number, least, most = (_number_of(each) for each in (value, low, high))
    assert number is not None
    unit = f" {unit}" if unit else ""
    if least is not None and not number >= least:
        raise Unfit(f"must be at least {least}{unit}, not {_shown(number)}")
    if most is not None and not number <= most:
        raise Unfit(f"must be at most {most}{unit}, not {_shown(number)}")


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
            raise Unfit("must be a number that a float can hold") from None
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
            raise Unfit(f"is not a duration: {error.message} ({error.remedy})") from None
        return value
    raise _wrong("a duration such as 30 or '1h30m'", value)


def _check_timestamp(_options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, str):
        raise _wrong("an RFC 3339 timestamp", value)
    parse_timestamp(value)
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
    "secret": _check_secret,
}


def _validate_list(options: Mapping[str, Wire], value: Wire) -> Wire:
    if not isinstance(value, list):
        raise _wrong("a list", value)
    item = options.get("of")
    if item is None:
        return value
    kind, item_options = item[0], options_of(item[1])
    done = []
    for at, each in enumerate(value):
        try:
            done.append(validate_value(kind, item_options, each))
        except Unfit as error:
            raise Unfit(f"at [{at}] {error}") from None
    return done


def parse_timestamp(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 text with an offset.

    Raises:
        Unfit: it is none.
    """
    try:
        return unix_seconds(text)
    except PrimitiveError as error:
        raise Unfit(f"is not an RFC 3339 timestamp: {error}") from None
