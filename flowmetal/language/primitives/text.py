"""Digests and encodings of text, always by its UTF-8 bytes."""

from __future__ import annotations

import binascii
import hashlib
import re
import urllib.parse

from flowmetal.language.primitives.shared import PrimitiveError, bounded, show


def sha256(text: str) -> str:
    """The SHA-256 digest of the text's UTF-8 bytes, 64 lower-case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def base64_encode(text: str) -> str:
    """The text's UTF-8 bytes in standard base64 with padding, on one line."""
    return bounded("base64.encode", binascii.b2a_base64(text.encode(), newline=False).decode())


def base64_decode(text: str) -> str:
    """The text whose UTF-8 bytes are given in standard base64 with padding.

    Raises:
        PrimitiveError: not base64, or the bytes are not UTF-8.
    """
    if len(text) % 4 or not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text):
        raise PrimitiveError(
            "base64.decode: not standard base64 with padding (A-Z a-z 0-9 + / in groups of four, the last filled "
            'up with =); take off line breaks, and of the URL form replace "-" by "+" and "_" by "/"'
        )
    try:
        return bounded("base64.decode", binascii.a2b_base64(text).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PrimitiveError(
            f"base64.decode: the bytes are not UTF-8 text (at byte {error.start}); a flow holds text only, "
            "so decode binary data outside of the flow"
        ) from None


def url_quote(text: str, safe: str) -> str:
    """The text percent-encoded, but for letters, digits, ``_.-~`` and the ASCII characters in ``safe``.

    Raises:
        PrimitiveError: ``safe`` holds another character, or ``%``.
    """
    if not safe.isascii() or "%" in safe:
        raise PrimitiveError("url_quote: safe holds ASCII characters only, and not %")
    return bounded("url_quote", urllib.parse.quote(text, safe=safe))


def url_unquote(text: str) -> str:
    """The text with each ``%xx`` replaced by the UTF-8 byte that it stands for; ``+`` stays ``+``.

    Raises:
        PrimitiveError: a ``%`` without two hexadecimal digits, or bytes that are not UTF-8.
    """
    wrong = re.search(r"%(?![0-9A-Fa-f]{2})", text)
    if wrong:
        part = show(text[wrong.start() : wrong.start() + 3])
        raise PrimitiveError(
            f"url_unquote: {part} at character {wrong.start() + 1} is not % and two hexadecimal digits; "
            "a % itself is written %25"
        )
    try:
        return urllib.parse.unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise PrimitiveError("url_unquote: the decoded bytes are not UTF-8 text") from None
