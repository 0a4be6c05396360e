"""Wire data as JSON text, for the prelude."""

from __future__ import annotations

from flowmetal.errors import ValueCodecError
from flowmetal.json_writing import json_text
from flowmetal.language.primitives.shared import PrimitiveError
from flowmetal.values import Wire


def json_encode(wire: Wire, indent: int | None, sort_keys: bool) -> str:
    """JSON text of wire data: tuples as arrays, structs as objects, keys in their order unless sorted.

    Raises:
        PrimitiveError: as ``json_text`` refuses it.
    """
    try:
        return json_text(wire, indent, sort_keys)
    except ValueCodecError as error:
        raise PrimitiveError(f"json.encode: {error.message}") from None
