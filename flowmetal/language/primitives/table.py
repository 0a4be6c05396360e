"""The table of what the prelude may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flowmetal.language.primitives import json_reading, json_writing, numbers, text, times

PRIMITIVES: Final[Mapping[str, Callable[..., object]]] = {
    function.__name__: function
    for function in (
        json_reading.json_decode,
        json_writing.json_encode,
        numbers.float_text,
        numbers.format_number,
        numbers.round_number,
        text.sha256,
        text.base64_encode,
        text.base64_decode,
        text.url_quote,
        text.url_unquote,
        times.time_parse,
        times.time_add,
        times.time_diff,
        times.time_format,
        times.duration_seconds,
        times.duration_text,
    )
}
"""What the prelude's modules may call, by name without ``_host_``."""
