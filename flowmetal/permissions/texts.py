"""Text from outside, as it may stand in a message."""

from __future__ import annotations

from typing import Final

_MOST: Final = 300


def plain(text: str) -> str:
    """``text`` with what is not printable escaped, cut when it is long."""
    if text.isprintable() and len(text) <= _MOST:
        return text
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[:_MOST])
    return shown if len(text) <= _MOST else f"{shown}…"
