"""What an answer becomes: a value of the flow, or a failure."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from flowmetal.actions.effect import EffectFailure, plain
from flowmetal.errors import ValueCodecError
from flowmetal.json_reading import read_json_text
from flowmetal.net.urls import Url
from flowmetal.values import MAX_BYTES, Wire, check, from_python, pack

MAX_RETRY_AFTER_SECONDS: Final = 86_400
"""A server that asks for a longer pause is not believed."""

MAX_SHOWN: Final = 2_000
"""Characters of a refusal's body that its failure keeps."""

MAX_REASON: Final = 200
"""Characters of it that its message shows."""

MAX_REFUSAL_BYTES: Final = 4 * MAX_SHOWN
"""What is read of a refusal's body."""

SAVE_IT: Final = "; give `save_to = PATH` to have it in a file"
_JSON: Final = re.compile(r"[^/;]+/(?:[^/;]+\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_DIGITS: Final = re.compile(r"[0-9]+")
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def answer(
    url: Url,
    status: int,
    headers: Mapping[str, str],
    size_bytes: int,
    body: bytes | None,
    path: str | None,
    digest: str,
) -> Wire:
    """The struct that a flow gets.

    Args:
        url: where the answer came from.
        status: its number.
        headers: by names in lower case.
        size_bytes: of the body.
        body: the body, None if it was saved.
        path: where it was saved, as the flow gave it.
        digest: SHA-256 of what was saved.

    Raises:
        EffectFailure: JSON that is none, or a body that does not fit into a value.
    """
    text = _text_of(body) if body is not None else None
    parsed: Wire = None
    if text is not None and is_json(headers) and text.strip():
        parsed = _json_of(text, url, status)

    def struct(text: str | None) -> Wire:
        fields: dict[str, Wire] = {
            "status": status,
            "headers": {"dict": [each for pair in headers.items() for each in pair]},
            "text": text,
            "json": parsed,
            "url": url.text,
            "path": path,
            "bytes": size_bytes,
            "sha256": digest or None,
        }
        return {"struct": [each for pair in fields.items() for each in pair]}

    made = struct(text)
    if body is None or len(body) < MAX_BYTES // 4:
        return made
    if parsed is not None and not _fits(made):
        made = struct(None)  # the text says nothing that the JSON does not
    if not _fits(made):
        raise EffectFailure(
            f"{url.place} sent a body of {size_bytes:,} bytes, and a value holds at most {MAX_BYTES:,} bytes encoded"
            f"{SAVE_IT}",
            kind="limit",
            details={"status": status, "may_have_run": True, "limit_bytes": MAX_BYTES},
        )
    return made


def refusal(method: str, url: Url, status: int, headers: Mapping[str, str], body: bytes) -> EffectFailure:
    """The failure of an answer of 400 or more; ``body`` is as much of it as was read."""
    text = _text_of(body, cut=len(body) >= MAX_REFUSAL_BYTES)
    kept = text if text is None or len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
    details: dict[str, Any] = {
        "status": status,
        "url": str(url),
        "headers": dict(headers),
        "body": kept,
    }
    seconds = retry_after_seconds(headers.get("retry-after", ""), time.time())
    if seconds is not None:
        details["retry_after_seconds"] = seconds
    shown = str(url) if len(str(url)) <= MAX_REASON else f"{str(url)[:MAX_REASON]}…"
    message = f"{method} {shown} was answered by {status}{_phrase(status)}{_reason(text)}"
    return EffectFailure(message, details=details)


def retry_after_seconds(text: str, now_seconds: float) -> float | None:
    """The pause that a header Retry-After asks for, in seconds or up to a date; None if it says nothing of use."""
    text = text.strip()
    if len(text) > 100 or not text.isascii():
        return None
    if _DIGITS.fullmatch(text):
        return float(min(int(text), MAX_RETRY_AFTER_SECONDS))
    date = _DATE.fullmatch(text)
    if date is None or date[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(date[at]) for at in (1, 3, 4, 5, 6))
    if not (1 <= day <= 31 and year >= 1970 and hour < 24 and minute < 60 and second <= 60):
        return None
    moment = calendar.timegm((year, _MONTHS.index(date[2]) + 1, day, hour, minute, second))
    return min(max(moment - now_seconds, 0.0), float(MAX_RETRY_AFTER_SECONDS))


def is_json(headers: Mapping[str, str]) -> bool:
    """Whether the body says of itself that it is JSON."""
    return _JSON.fullmatch(headers.get("content-type", "").strip()) is not None


def _json_of(text: str, url: Url, status: int) -> Wire:
    try:
        wire = from_python(read_json_text(text.removeprefix("\ufeff")))
        check(wire)
    except ValueCodecError as error:
        raise EffectFailure(
            f"{url.place} says that it sends JSON, and what came is of no use as JSON: {error.message}{SAVE_IT}",
            details={"status": status, "url": str(url), "body": text[:MAX_SHOWN], "may_have_run": True},
        ) from None
    return wire


def _text_of(data: bytes, *, cut: bool = False) -> str | None:
    """The text that UTF-8 bytes are, None for others; with ``cut``, the last character may be there in part."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        return data[: error.start].decode("utf-8") if cut and error.start + 4 > len(data) else None


def _reason(text: str | None) -> str:
    """The beginning of what a server says of its refusal, when that is for people to read and no page."""
    words = " ".join((text or "")[: 2 * MAX_REASON].split())
    if not words or words.startswith("<"):
        return ""
    return f": {plain(words if len(words) <= MAX_REASON else words[:MAX_REASON] + '…')}"


def _fits(wire: Wire) -> bool:
    try:
        return len(pack(wire)) < MAX_BYTES - 64  # the Result around it
    except ValueCodecError:
        return False


def _phrase(status: int) -> str:
    return f" {HTTPStatus(status).phrase}" if status in _STATUSES else ""


_STATUSES: Final = frozenset(each.value for each in HTTPStatus)
