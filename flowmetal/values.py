"""Values that cross a boundary, and their one encoding.

A value of the language becomes *wire data* — plain Python data that MessagePack carries exactly — on its way
out of the interpreter, and stays wire data everywhere else: in frames, in the journal, in the engine.  What the
interpreter and MessagePack carry alike (None, bool, 64-bit int, finite float, str, list) is itself; all
else is a *tag*: a map with one entry, so that no map is ever a dict of the language (a Python dict would
take ``1`` and ``True`` for one key, and lose order rules).

    {"int": "123…"}             an int beyond 64 bits, decimal
    {"float": "nan"}            also "inf" and "-inf"; there is one NaN
    {"tuple": [v, …]}
    {"dict": [k, v, k, v, …]}   in insertion order
    {"struct": [name, v, …]}
    {"result": [ok, value, error]}
    {"failure": [kind, message, details, flow, source, trace, cause]}
    {"flow": [reference, policy]}        policy is a {"dict": …}
    {"effect": [name, policy]}
    {"secret": [name, fingerprint]}      a reference; the text of a secret is never a value
    {"task": [action number, name]}

Equal values have equal bytes (``pack``), which is what replay compares.  Everything that arrives from a worker
or from the disk is hostile until ``unpack`` has checked it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgpack

from flowmetal.errors import ValueCodecError

Wire: TypeAlias = Any
"""None, bool, int (64 bit), float (finite), str, list of Wire, or a tag (dict with one entry)."""

MAX_DEPTH: Final = 64
MAX_NODES: Final = 100_000
MAX_BYTES: Final = 1024 * 1024
MAX_INT_DIGITS: Final = 4_096

INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1

_SCALARS: Final = frozenset({type(None), bool, int, float, str})
_SPECIAL_FLOATS: Final = frozenset({"nan", "inf", "-inf"})
_FIXED_LENGTH: Final = {"result": 3, "failure": 7, "flow": 2, "effect": 2, "task": 2, "secret": 2}
_PACKED_NONE: Final = b"\xc0"


def pack(wire: Wire) -> bytes:
    """The bytes of checked wire data.

    Raises:
        ValueCodecError: more than ``MAX_BYTES`` or ``MAX_NODES``, or text with a lone surrogate.
    """
    try:
        data: bytes = msgpack.packb(wire)
    except UnicodeEncodeError:
        raise ValueCodecError("the value holds text that is not Unicode: a lone surrogate") from None
    if len(data) >= MAX_NODES:  # each node takes a byte at least
        check(wire)
    if len(data) > MAX_BYTES:
        raise ValueCodecError(
            f"the value is {len(data):,} bytes encoded; the limit is {MAX_BYTES:,}",
            remedy="write large data to a file and pass its path",
        )
    return data


def unpack(data: bytes) -> Wire:
    """Wire data from bytes, checked in every respect.

    Raises:
        ValueCodecError: not MessagePack, not wire data, or past a limit.
    """
    if data == _PACKED_NONE:
        return None
    if len(data) > MAX_BYTES:
        raise ValueCodecError(f"the value is {len(data):,} bytes encoded; the limit is {MAX_BYTES:,}")
    try:
        wire = msgpack.unpackb(data, strict_map_key=True, use_list=True)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise ValueCodecError(f"not an encoded value: {error or type(error).__name__}") from None
    kind = type(wire)
    if kind not in _SCALARS or kind is float or (kind is int and wire > INT_MAX):
        check(wire)
    return wire


def check(wire: Wire) -> None:
    """Raise unless ``wire`` is wire data within the limits.

    Raises:
        ValueCodecError: names what is wrong.
    """
    nodes = 0
    level = [wire]
    depth = 0
    while level:
        nodes += len(level)
        if nodes > MAX_NODES:
            raise ValueCodecError(
                f"the value has more than {MAX_NODES:,} nodes", remedy="write large data to a file and pass its path"
            )
        below: list[Wire] = []
        for item in level:
            kind = type(item)
            if kind is list:
                below.extend(item)
            elif kind is dict:
                below.extend(_check_tag(item))
            elif kind is int:
                if not INT_MIN <= item <= INT_MAX:
                    raise ValueCodecError("an int beyond 64 bits must be tagged")
            elif kind is float:
                if not math.isfinite(item):
                    raise ValueCodecError("a float that is not finite must be tagged")
            elif kind not in _SCALARS:
                raise ValueCodecError(f"a {kind.__name__} is not wire data")
        level = below
        depth += 1
        if depth > MAX_DEPTH + 1 and level:
            raise ValueCodecError(f"the value is nested deeper than {MAX_DEPTH}")


def _check_tag(item: dict[Any, Any]) -> list[Wire]:
    """The payload of a tag whose shape is right, as the nodes below it."""
    if len(item) != 1:
        raise ValueCodecError("a map that is not a tag")
    ((tag, payload),) = item.items()
    if tag == "int":
        _check_big_int(payload)
        return []
    if tag == "float":
        if type(payload) is not str or payload not in _SPECIAL_FLOATS:
            raise ValueCodecError("a float tag that is none of nan, inf, -inf")
        return []
    if type(payload) is not list:
        raise ValueCodecError(f"the tag {tag!r} holds no list")
    if tag == "tuple":
        return payload
    if tag in ("dict", "struct"):
        if len(payload) % 2:
            raise ValueCodecError(f"the tag {tag!r} holds a key without a value")
        if tag == "struct" and not all(type(name) is str for name in payload[::2]):
            raise ValueCodecError("a struct's field name is not a string")
        return payload
    length = _FIXED_LENGTH.get(tag)
    if length is None:
        raise ValueCodecError(f"unknown tag {tag!r}")
    if len(payload) != length:
        raise ValueCodecError(f"the tag {tag!r} holds {len(payload)} fields, not {length}")
    _check_fields(tag, payload)
    return payload


def _check_fields(tag: str, payload: list[Wire]) -> None:
    first = payload[0]
    if tag == "result":
        good = type(first) is bool
    elif tag == "task":
        good = type(first) is int and first > 0 and type(payload[1]) is str
    elif tag == "secret":
        good = type(first) is str and type(payload[1]) is str
    elif tag == "failure":
        good = all(type(text) is str for text in (first, payload[1], payload[3], payload[4], payload[5]))
    else:
        good = type(first) is str
    if not good:
        raise ValueCodecError(f"the tag {tag!r} has a field of the wrong type")


def _check_big_int(payload: object) -> None:
    digits = payload[1:] if isinstance(payload, str) and payload.startswith("-") else payload
    if not (isinstance(digits, str) and digits.isascii() and digits.isdigit() and digits[0] != "0"):
        raise ValueCodecError("an int tag that is not a decimal number")
    if len(digits) > MAX_INT_DIGITS:
        raise ValueCodecError(f"an int of more than {MAX_INT_DIGITS:,} digits")
    if INT_MIN <= int(str(payload)) <= INT_MAX:
        raise ValueCodecError("an int within 64 bits must not be tagged")


# -- Python values of our own making (command lines, effects) ------------------------------------------


def from_python(value: object) -> Wire:
    """Wire data of JSON-like Python data: None, bool, int, float, str, list, tuple, dict.

    Raises:
        ValueCodecError: a value of another type.
    """
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if INT_MIN <= value <= INT_MAX else {"int": str(value)}
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return {"float": "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")}
    if isinstance(value, list):
        return [from_python(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [from_python(item) for item in value]}
    if isinstance(value, dict):
        pairs: list[Wire] = []
        for key, item in value.items():
            pairs += (from_python(key), from_python(item))
        return {"dict": pairs}
    raise ValueCodecError(f"a {type(value).__name__} is not a value of the language")


def to_json_data(wire: Wire) -> Any:
    """Data for ``json.dumps``: tuples as arrays, structs and string-keyed dicts as objects.

    What JSON cannot say keeps its tag under a ``$`` name: ``{"$float": "nan"}``, ``{"$dict": [[k, v], …]}``.
    """
    if isinstance(wire, list):
        return [to_json_data(item) for item in wire]
    if not isinstance(wire, dict):
        return wire
    ((tag, payload),) = wire.items()
    if tag == "int":
        return int(payload)
    if tag == "tuple":
        return [to_json_data(item) for item in payload]
    if tag in ("dict", "struct"):
        keys, items = payload[::2], [to_json_data(item) for item in payload[1::2]]
        if all(isinstance(key, str) for key in keys):
            return dict(zip(keys, items, strict=True))
        return {"$dict": [[to_json_data(key), item] for key, item in zip(keys, items, strict=True)]}
    if tag == "failure":
        return Failure.from_wire(wire).to_json_data()
    if tag == "result":
        return {"$result": {"ok": payload[0], "value": to_json_data(payload[1]), "error": to_json_data(payload[2])}}
    return {f"${tag}": to_json_data(payload)}


def to_text(wire: Wire, limit: int = 120) -> str:
    """One line that shows a value to a person, cut at ``limit`` characters; control characters escaped."""
    text = json.dumps(to_json_data(wire), ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"


# -- outcomes ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something is Err.

    ``kind`` is one of failed, error, mistyped, timeout, cancelled, denied, limit, crashed, interrupted, conflict,
    upstream, effect, and what flows name themselves.  ``source`` is ``file:line``; ``trace`` the interpreter's
    traceback or ""; ``details`` and ``cause`` are wire data, the cause being a failure or None.
    """

    kind: str
    message: str
    details: Wire = None
    flow: str = ""
    source: str = ""
    trace: str = ""
    cause: Wire = None

    def to_wire(self) -> Wire:
        """The ``failure`` tag."""
        details = {"dict": []} if self.details is None else self.details
        return {"failure": [self.kind, self.message, details, self.flow, self.source, self.trace, self.cause]}

    @staticmethod
    def from_wire(wire: Wire) -> Failure:
        """The failure of a checked ``failure`` tag."""
        return Failure(*wire["failure"])

    def chain(self) -> list[Failure]:
        """This failure and its causes, outermost first."""
        failures = [self]
        while isinstance(failures[-1].cause, dict) and "failure" in failures[-1].cause:
            failures.append(Failure.from_wire(failures[-1].cause))
        return failures

    def to_json_data(self) -> dict[str, Any]:
        """An object with the fields by name."""
        return {
            "kind": self.kind,
            "message": self.message,
            "details": to_json_data(self.details),
            "flow": self.flow,
            "source": self.source,
            "trace": self.trace,
            "cause": to_json_data(self.cause),
        }


def ok(value: Wire = None) -> Wire:
    """The wire data of ``Ok(value)``."""
    return {"result": [True, value, None]}


def err(failure: Failure) -> Wire:
    """The wire data of ``Err(failure)``."""
    return {"result": [False, None, failure.to_wire()]}


def is_ok(result: Wire) -> bool:
    """Whether a ``result`` tag is Ok."""
    return bool(result["result"][0])


def failure_of(result: Wire) -> Failure:
    """The failure of a ``result`` tag that is Err."""
    error = result["result"][2]
    if isinstance(error, dict) and "failure" in error:
        return Failure.from_wire(error)
    return Failure("failed", to_text(error))


def is_ok_packed(data: bytes | None) -> bool:
    """Whether an encoded, checked Result is Ok, without decoding it; None stands for ``Ok(None)``."""
    # The tag and its list of three are ten bytes, of which the last is the field `ok`.
    return data is None or data[9:10] == b"\xc3"


def substitute_tasks(wire: Wire, values: Mapping[int, Wire]) -> Wire:
    """Wire data with each task replaced by the value of its number."""
    if isinstance(wire, list):
        return [substitute_tasks(item, values) for item in wire]
    if isinstance(wire, dict):
        ((tag, payload),) = wire.items()
        if tag == "task":
            return values[payload[0]]
        return {tag: substitute_tasks(payload, values)} if isinstance(payload, list) else wire
    return wire
