"""Taking the texts of secrets out of what an effect gives, before the journal or the flow sees it.

Looked for are the text itself and what common encodings make of it: URL quoting, JSON escapes, hex, and base64, of
which three forms exist, since it depends on how many bytes stand before the secret.  What a server splits over two
fields, or encodes in a way of its own, is not found: a secret goes to hosts that are trusted with it, and to no other.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

from flowmetal.values import Wire

_LEAST: Final = 6
"""Characters that a form must have to be looked for."""


class Scrub:
    """Masks some secrets, each a name and a text, as ``[secret NAME]``."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        self._names: dict[str, str] = {}
        for name, text in secrets:
            for form in forms(text):
                self._names.setdefault(form, name)
        # The longest first: a form may begin with another.
        ordered = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Text without the secrets."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"[secret {self._names[found.group()]}]", text)

    def wire(self, wire: Wire) -> Wire:
        """Wire data without the secrets, in keys too."""
        if self._pattern is None:
            return wire
        return self._wire(wire)

    def _wire(self, wire: Any) -> Wire:
        if isinstance(wire, str):
            return self.text(wire)
        if isinstance(wire, list):
            return [self._wire(item) for item in wire]
        if isinstance(wire, dict):
            ((tag, payload),) = wire.items()
            # A big int and a special float are texts with a grammar of their own.
            return wire if isinstance(payload, str) else {tag: self._wire(payload)}
        return wire


def forms(text: str) -> Iterable[str]:
    """The text of a secret as it is and as common encodings write it."""
    data = text.encode("utf-8", "surrogatepass")
    found = {text, quote(text, safe=""), quote(text), quote_plus(text), data.hex(), data.hex().upper()}
    found |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    for before in range(3):
        # The characters that the bytes before or after have no part in.
        encoded = base64.b64encode(b"\0" * before + data).rstrip(b"=").decode("ascii")
        whole = (len(data) + before) * 8 // 6
        core = encoded[(before * 8 + 5) // 6 : whole]
        found |= {core, core.replace("+", "-").replace("/", "_")}
    return {form for form in found if len(form) >= _LEAST}
