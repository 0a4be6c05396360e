"""Wire data as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from flowmetal.language.primitives.shared import PrimitiveError, bounded
from flowmetal.values import MAX_BYTES, MAX_DEPTH, Wire

_NO_JSON: Final = {
    "result": "a Result; unwrap it, or write what you want of it (r.value, r.error.message)",
    "failure": "a Failure; write the fields you want, such as error.kind and error.message",
    "flow": "a Flow; write its name",
    "effect": "an effect; write its name",
    "task": "a Task; wait for it first and write its value",
}


def json_encode(wire: Wire, indent: int | None, sort_keys: bool) -> str:
    """JSON text of wire data: tuples as arrays, structs as objects, keys in their order unless sorted.

    Raises:
        PrimitiveError: what JSON cannot say, with the path to it; a bad ``indent``; a text over ``MAX_BYTES``.
    """
    if indent is not None and not 0 <= indent <= 8:
        raise PrimitiveError("json.encode: indent is a number of spaces from 0 to 8, or None for one line")
    encoder = json.JSONEncoder(
        ensure_ascii=False,
        sort_keys=sort_keys,
        indent=indent,
        separators=(",", ":") if indent is None else (",", ": "),
    )
    data = _json_data(wire, ("$",))
    if indent is None:
        return bounded("json.encode", encoder.encode(data))
    parts, length = [], 0
    for part in encoder.iterencode(data):
        parts.append(part)
        length += len(part)
        if length > MAX_BYTES:
            break
    return bounded("json.encode", "".join(parts))


def _json_data(wire: Wire, path: tuple[str, ...]) -> Any:
    if len(path) > MAX_DEPTH + 1:
        raise PrimitiveError(f"json.encode: the value is nested deeper than {MAX_DEPTH}, the limit")
    if isinstance(wire, list):
        return [_json_data(item, (*path, f"[{index}]")) for index, item in enumerate(wire)]
    if not isinstance(wire, dict):
        return wire
    ((tag, payload),) = wire.items()
    if tag == "int":
        return int(payload)
    if tag == "tuple":
        return [_json_data(item, (*path, f"[{index}]")) for index, item in enumerate(payload)]
    if tag in ("dict", "struct"):
        return dict(_json_members(payload, path))
    if tag == "float":
        raise _json_refusal(path, f"is {payload}, which JSON cannot say; write None or a string instead")
    raise _json_refusal(path, f"is {_NO_JSON.get(tag, 'no JSON value')}")


def _json_members(payload: list[Wire], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for key, item in zip(payload[::2], payload[1::2], strict=True):
        if not isinstance(key, str):
            raise _json_refusal(path, f"has the key {_key_text(key)}; keys of JSON are strings, write str(key)")
        yield key, _json_data(item, (*path, f".{key}"))


def _json_refusal(path: tuple[str, ...], problem: str) -> PrimitiveError:
    where = "".join(path)
    place = "the value" if where == "$" else f"`{where if len(where) <= 80 else where[:79] + '…'}`"
    return PrimitiveError(f"json.encode: {place} {problem}")


def _key_text(key: Wire) -> str:
    """A key that is no string, as its author wrote it or nearly so."""
    if isinstance(key, dict):
        tag = next(iter(key))
        return f"of type {tag}" if tag != "int" else str(key[tag])[:40]
    return repr(key)
