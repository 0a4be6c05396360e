"""What every primitive uses: its one error, text of a flow inside a message, and the limit of a result."""

from __future__ import annotations

from flowmetal.json_reading import show, too_large
from flowmetal.values import MAX_BYTES

__all__ = ["PrimitiveError", "bounded", "show"]


class PrimitiveError(Exception):
    """A helper was given what it cannot use; the text is what the author of the flow sees."""


def bounded(name: str, text: str) -> str:
    """The text, unless it is too large for a result of the helper ``name``."""
    if too_large(text):
        raise PrimitiveError(f"{name}: the result is over {MAX_BYTES:,} bytes, the limit; work on smaller pieces")
    return text
