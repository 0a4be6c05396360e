"""Values of a flow as plain Python, and back.

| in a flow | in Python |
|-----------|-----------|
| `None`, bool, int of any size, float, text | the same |
| list, tuple, dict | the same |
| struct, and Results and Failures | `types.SimpleNamespace` with the fields as attributes |
| a secret | its text |

Back go the same, and subclasses of them as what they are made of: an `IntEnum` as its int.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, Final

from flowmetal.errors import ValueCodecError
from flowmetal.values import INT_MAX, INT_MIN, MAX_DEPTH, MAX_INT_DIGITS, Wire, pack

_FIELDS: Final = {
    "result": ("ok", "value", "error"),
    "failure": ("kind", "message", "details", "flow", "source", "trace", "cause"),
}
_SPECIAL: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_LARGEST: Final = 10**MAX_INT_DIGITS


def to_plain(wire: Wire) -> Any:
    """Plain Python of checked wire data.

    Raises:
        TypeError: what Python cannot hold: a flow, an effect, a task, keys that Python takes for one.
    """
    if isinstance(wire, list):
        return [to_plain(item) for item in wire]
    if not isinstance(wire, dict):
        return wire
    ((tag, payload),) = wire.items()
    if tag == "int":
        return int(payload)
    if tag == "float":
        return _SPECIAL[payload]
    if tag == "tuple":
        return tuple(to_plain(item) for item in payload)
    if tag == "struct":
        return SimpleNamespace(**dict(zip(payload[::2], map(to_plain, payload[1::2]), strict=True)))
    if tag in _FIELDS:
        return SimpleNamespace(**dict(zip(_FIELDS[tag], map(to_plain, payload), strict=True)))
    if tag == "dict":
        return _dict(payload)
    article = "an" if tag == "effect" else "a"
    raise TypeError(f"{article} {tag} cannot be passed to Python")


def _dict(payload: list[Wire]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, item in zip(payload[::2], payload[1::2], strict=True):
        name = to_plain(key)
        try:
            is_known = name in found
        except TypeError:
            raise TypeError(f"a dict with a key of type {type(name).__name__} cannot be passed to Python") from None
        if is_known:
            raise TypeError(f"a dict with two keys that Python takes for one, {name!r}, cannot be passed to it")
        found[name] = to_plain(item)
    return found


def to_wire(value: Any) -> Wire:
    """Wire data of plain Python.

    Raises:
        TypeError: a value of another type; names it and where it is.
        ValueError: it is too large, too deep, or holds itself.
    """
    wire = _to_wire(value, 0, "the value")
    try:
        pack(wire)
    except ValueCodecError as error:
        raise ValueError(error.message) from None
    return wire


def _to_wire(value: Any, depth: int, where: str) -> Wire:
    if value is None or isinstance(value, bool):
        return value
    if depth > MAX_DEPTH:
        raise ValueError(f"the value is nested deeper than {MAX_DEPTH}, or holds itself")
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _int(int.__int__(value))
    if isinstance(value, float):
        number = float.__float__(value)
        if math.isfinite(number):
            return number
        return {"float": "nan" if math.isnan(number) else ("inf" if number > 0 else "-inf")}
    if isinstance(value, list | tuple):
        items = [_to_wire(item, depth + 1, f"{where}[{index}]") for index, item in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, dict):
        pairs: list[Wire] = []
        for key, item in value.items():
            pairs.append(_to_wire(key, depth + 1, f"a key of {where}"))
            pairs.append(_to_wire(item, depth + 1, f"{where}[{str(key)[:40]!r}]"))
        return {"dict": pairs}
    if isinstance(value, SimpleNamespace):
        fields: list[Wire] = []
        for name, item in vars(value).items():
            fields += (str(name), _to_wire(item, depth + 1, f"{where}.{name}"))
        return {"struct": fields}
    raise TypeError(f"{where} is of type {_type_name(type(value))}, which cannot go to a flow")


def _int(value: int) -> Wire:
    if INT_MIN <= value <= INT_MAX:
        return value
    if not -_LARGEST < value < _LARGEST:
        raise ValueError(f"an int has more than {MAX_INT_DIGITS:,} digits")
    return {"int": str(value)}


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
