"""Strict JSON into values, for the prelude."""

from __future__ import annotations

from typing import Any

from flowmetal.errors import ValueCodecError
from flowmetal.json_reading import read_json_text
from flowmetal.language.primitives.shared import PrimitiveError


def json_decode(text: str) -> Any:
    """The value of a strict JSON text: ints exact, the last of equal keys wins.

    Raises:
        PrimitiveError: as ``read_json_text`` refuses it.
    """
    try:
        return read_json_text(text)
    except ValueCodecError as error:
        raise PrimitiveError(f"json.decode: {error.message}") from None
