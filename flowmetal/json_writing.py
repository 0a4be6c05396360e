"""Wire data as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from flowmetal.errors import ValueCodecError
from flowmetal.json_reading import too_large
from flowmetal.values import MAX_BYTES, MAX_DEPTH, MAX_INT_DIGITS, Wire

_Path: TypeAlias = "tuple[_Path, int | str] | None"
"""Where a value stands, for an error: the way to what holds it, and its index or key there."""

_NO_JSON: Final = {
    "result": "a Result; unwrap it, or write what you want of it (r.value, r.error.message)",
    "failure": "a Failure; write the fields you want, such as error.kind and error.message",
    "flow": "a Flow; write its name",
    "effect": "an effect; write its name",
    "secret": "a Secret, whose text no flow can see; pass it to an effect that takes secrets",
    "task": "a Task; wait for it first and write its value",
}


def json_text(wire: Wire, indent: int | None, sort_keys: bool, limit_bytes: int = MAX_BYTES) -> str:
    """JSON text of wire data: tuples as arrays, structs as objects, keys in their order unless sorted.

    Raises:
        ValueCodecError: what JSON cannot say, with the path to it; a bad ``indent``; a text over ``limit_bytes``.
    """
    if indent is not None and not 0 <= indent <= 8:
        raise ValueCodecError("indent is a number of spaces from 0 to 8, or None for one line")
    encoder = json.JSONEncoder(
        ensure_ascii=False,
        sort_keys=sort_keys,
        indent=indent,
        separators=(",", ":") if indent is None else (",", ": "),
    )
    data = _json_data(wire, None, 0)
    if indent is None:
        return _bounded(encoder.encode(data), limit_bytes)
    parts, length = [], 0
    for part in encoder.iterencode(data):
        parts.append(part)
        length += len(part)
        if length > limit_bytes:
            break
    return _bounded("".join(parts), limit_bytes)


def _bounded(text: str, limit_bytes: int) -> str:
    if too_large(text, limit_bytes):
        raise ValueCodecError(f"the result is over {limit_bytes:,} bytes, the limit; work on smaller pieces")
    return text


def _json_data(wire: Wire, path: _Path, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueCodecError(f"the value is nested deeper than {MAX_DEPTH}, the limit")
    if isinstance(wire, list):
        return [_json_data(item, (path, index), depth + 1) for index, item in enumerate(wire)]
    if not isinstance(wire, dict):
        return wire
    ((tag, payload),) = wire.items()
    if tag == "int":
        return _json_int(payload, path)
    if tag == "tuple":
        return [_json_data(item, (path, index), depth + 1) for index, item in enumerate(payload)]
    if tag in ("dict", "struct"):
        return dict(_json_members(payload, path, depth + 1))
    if tag == "float":
        raise _json_refusal(path, f"is {payload}, which JSON cannot say; write None or a string instead")
    raise _json_refusal(path, f"is {_NO_JSON.get(tag, 'no JSON value')}")


def _json_int(digits: str, path: _Path) -> int:
    if len(digits) > MAX_INT_DIGITS + digits.startswith("-"):
        raise _json_refusal(path, f"is an int of {len(digits):,} digits; the limit is {MAX_INT_DIGITS:,}")
    return int(digits)


def _json_members(payload: list[Wire], path: _Path, depth: int) -> Iterator[tuple[str, Any]]:
    for key, item in zip(payload[::2], payload[1::2], strict=True):
        if not isinstance(key, str):
            raise _json_refusal(path, f"has the key {_key_text(key)}; keys of JSON are strings, write str(key)")
        yield key, _json_data(item, (path, key), depth)


def _json_refusal(path: _Path, problem: str) -> ValueCodecError:
    where = ""
    while path is not None:
        path, step = path
        where = (f"[{step}]" if isinstance(step, int) else f".{step}") + where
    where = f"${where}"
    place = "the value" if where == "$" else f"`{where if len(where) <= 80 else where[:79] + '…'}`"
    return ValueCodecError(f"{place} {problem}")


def _key_text(key: Wire) -> str:
    """A key that is no string, as its author wrote it or nearly so."""
    if isinstance(key, dict):
        tag = next(iter(key))
        return f"of type {tag}" if tag != "int" else str(key[tag])[:40]
    return repr(key)
