"""What every primitive uses: its one error, and text of a flow inside a message."""

from __future__ import annotations

import json

from flowmetal.values import MAX_BYTES


class PrimitiveError(Exception):
    """A helper was given what it cannot use; the text is what the author of the flow sees."""


def show(text: str, limit: int = 40) -> str:
    """Text of a flow inside a message: quoted, escaped, short."""
    return json.dumps(text if len(text) <= limit else text[: limit - 1] + "…", ensure_ascii=False)


def too_large(text: str) -> bool:
    """Whether a text takes more than ``MAX_BYTES`` in UTF-8."""
    return len(text) * 4 > MAX_BYTES and len(text.encode()) > MAX_BYTES


def bounded(name: str, text: str) -> str:
    """The text, unless it is too large for a result of the helper ``name``."""
    if too_large(text):
        raise PrimitiveError(f"{name}: the result is over {MAX_BYTES:,} bytes, the limit; work on smaller pieces")
    return text
