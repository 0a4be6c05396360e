"""Taking the texts of secrets out of what an effect gives, before the journal or the flow sees it.

Looked for are the text itself, each of its lines, and what common encodings make of them: URL quoting, JSON and HTML
escapes, hex, and base64, of which three forms exist, since it depends on how many bytes stand before the secret, and
which may be broken into lines.  An effect cuts long texts before they come here, so the beginning and the end of a
form, from a dozen characters on, are masked too.

What a server splits over two fields, or encodes in a way of its own, is not found: a secret goes to hosts that are
trusted with it, and to no other.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus

from flowmetal.values import Wire

_LEAST: Final = 6
"""Characters that a form must have to be looked for."""

_LEAST_LINE: Final = 8
_PART: Final = 12
"""Characters of the beginning or the end of a form that are enough to know it by."""

_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Scrub:
    """Masks some secrets, each a name and a text, as ``[secret NAME]``."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        self._names: dict[str, str] = {}
        broken: list[tuple[str, str]] = []
        for name, text in secrets:
            for form in forms(text):
                self._names.setdefault(form, name)
            broken += ((_over_lines(core), name) for core in _cores(text) if len(core) > _PART)
        # The longest first: a form may begin with another.
        ordered = sorted(self._names, key=len, reverse=True)
        self._whole = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._broken = [(re.compile(pattern), name) for pattern, name in broken]
        self._parts = [part for form in ordered if (part := _Part.of(form, self._names[form])) is not None]

    def text(self, text: str) -> str:
        """Text without the secrets."""
        if self._whole is None or len(text) < _LEAST:
            return text
        text = self._whole.sub(lambda found: f"[secret {self._names[found.group()]}]", text)
        if "\n" in text:
            for pattern, name in self._broken:
                text = pattern.sub(f"[secret {name}]", text)
        for part in self._parts:
            text = part.masked(text)
        return text

    def wire(self, wire: Wire) -> Wire:
        """Wire data without the secrets, in keys and numbers too."""
        return wire if self._whole is None else self._wire(wire)

    def _wire(self, wire: Any) -> Wire:
        if isinstance(wire, str):
            return self.text(wire)
        if isinstance(wire, list):
            return [self._wire(item) for item in wire]
        if isinstance(wire, dict):
            ((tag, payload),) = wire.items()
            # A big int and a special float are texts with a grammar of their own.
            return self._number(payload, wire) if isinstance(payload, str) else {tag: self._wire(payload)}
        if type(wire) in (int, float):
            return self._number(str(wire), wire)
        return wire

    def _number(self, digits: str, wire: Wire) -> Wire:
        name = self._names.get(digits)
        return wire if name is None else f"[secret {name}]"


class _Part:
    """The beginning and the end of a form, by which what was cut off of it is known."""

    def __init__(self, form: str, name: str, size: int) -> None:
        self._form, self._mask = form, f"[secret {name}]"
        self._head, self._tail = form[:size], form[-size:]

    @staticmethod
    def of(form: str, name: str) -> _Part | None:
        """The parts of a form that is long enough to have some."""
        # What many addresses begin with says nothing.
        address = _ADDRESS.match(form)
        size = _PART + (address.end() if address else 0)
        return _Part(form, name, size) if len(form) > size else None

    def masked(self, text: str) -> str:
        """Text without what is left of the form."""
        at = text.find(self._head)
        while at >= 0:
            size = len(self._head)
            while size < len(self._form) and text[at + size : at + size + 1] == self._form[size]:
                size += 1
            text = text[:at] + self._mask + text[at + size :]
            at = text.find(self._head, at + len(self._mask))
        at = text.find(self._tail)
        while at >= 0:
            size = len(self._tail)
            while size < len(self._form) and at > 0 and text[at - 1] == self._form[-size - 1]:
                at, size = at - 1, size + 1
            text = text[:at] + self._mask + text[at + size :]
            at = text.find(self._tail, at + len(self._mask))
        return text


def forms(text: str) -> set[str]:
    """The text of a secret as it is and as common encodings write it, with each of its lines."""
    lines = [line for line in text.splitlines() if len(line) >= _LEAST_LINE]
    found = {form for each in {text, *lines} for form in _forms(each)}
    return {form for form in found if len(form) >= _LEAST}


def _forms(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogatepass")
    quoted = [quote(text, safe="", errors="surrogatepass"), quote(text, errors="surrogatepass")]
    quoted.append(quote_plus(text, errors="surrogatepass"))
    yield from (text, data.hex(), data.hex().upper(), html.escape(text), html.escape(text, quote=False))
    yield from (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    for each in quoted:
        yield each
        yield re.sub("%[0-9A-F]{2}", lambda found: found.group().lower(), each)
    yield from _cores(text)


def _cores(text: str) -> Iterator[str]:
    """The part of each base64 form that the bytes before and after have no part in."""
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).rstrip(b"=").decode("ascii")
        core = encoded[(before * 8 + 5) // 6 : (len(data) + before) * 8 // 6]
        yield core
        yield core.replace("+", "-").replace("/", "_")


def _over_lines(core: str) -> str:
    """A pattern of base64 that is broken into lines somewhere."""
    return r"(?:\r?\n)?".join(map(re.escape, core))
