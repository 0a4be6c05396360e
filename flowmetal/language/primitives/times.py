"""Timestamps (RFC 3339 text with an offset) and durations (seconds, or text such as "1h30m").

Whole microseconds underneath, so that sums and differences are exact.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Final

from flowmetal.language.primitives.numbers import EXACT, exact_decimal
from flowmetal.language.primitives.shared import PrimitiveError, bounded, show

MAX_DURATION_DAYS: Final = 3_652_500  # ten thousand years, past what a timestamp can name

_SECOND: Final = 1_000_000  # microseconds
_EPOCH: Final = datetime(1970, 1, 1)
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_LONGEST_DURATION: Final = 100
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNITS: Final = {"d": 86_400 * _SECOND, "h": 3_600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 1_000}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def time_parse(ts: str) -> list[float]:
    """Year, month, day, hour, minute, second, microsecond, offset in seconds, weekday (Monday 1), unix seconds.

    Raises:
        PrimitiveError: not an RFC 3339 timestamp with an offset.
    """
    local, offset = _timestamp(ts)
    fields = (local.year, local.month, local.day, local.hour, local.minute, local.second, local.microsecond)
    return [*fields, offset, local.isoweekday(), _seconds(_unix_microseconds(local, offset))]


def unix_seconds(ts: str) -> float:
    """Seconds since the epoch.

    Raises:
        PrimitiveError: not an RFC 3339 timestamp with an offset.
    """
    return _seconds(_unix_microseconds(*_timestamp(ts)))


def time_add(ts: str, duration: float | str | None) -> str:
    """The timestamp ``duration`` later, with the same offset.

    Raises:
        PrimitiveError: not a timestamp, not a duration, or a result outside of the years 1 to 9999.
    """
    local, offset = _timestamp(ts)
    try:
        return _timestamp_text(local + timedelta(microseconds=duration_microseconds(duration)), offset)
    except OverflowError:
        raise PrimitiveError("time.add: the result is outside of the years 0001 to 9999") from None


def time_diff(a: str, b: str) -> float:
    """Seconds from ``b`` to ``a``: an int when whole.

    Raises:
        PrimitiveError: not a timestamp.
    """
    return _seconds(_unix_microseconds(*_timestamp(a)) - _unix_microseconds(*_timestamp(b)))


def time_format(ts: str, pattern: str) -> str:
    """The timestamp in the form of ``pattern``; the codes are those of ``_codes``, names are English.

    Raises:
        PrimitiveError: not a timestamp, or an unknown code.
    """
    codes = _codes(*_timestamp(ts))

    def replace(match: re.Match[str]) -> str:
        if match[0] not in codes:
            raise PrimitiveError(f"time.format: {show(match[0])} is no code; the codes are {' '.join(codes)}")
        return codes[match[0]]

    return bounded("time.format", re.sub(r"%(?::?.)?", replace, pattern, flags=re.DOTALL))


def _codes(local: datetime, offset: int) -> dict[str, str]:
    colon = _offset_text(offset)
    return {
        "%Y": f"{local.year:04}",
        "%m": f"{local.month:02}",
        "%d": f"{local.day:02}",
        "%H": f"{local.hour:02}",
        "%M": f"{local.minute:02}",
        "%S": f"{local.second:02}",
        "%f": f"{local.microsecond:06}",
        "%z": colon.replace(":", ""),
        "%:z": colon,
        "%j": f"{local.timetuple().tm_yday:03}",
        "%a": _WEEKDAYS[local.weekday()][:3],
        "%A": _WEEKDAYS[local.weekday()],
        "%b": _MONTHS[local.month - 1][:3],
        "%B": _MONTHS[local.month - 1],
        "%u": str(local.isoweekday()),
        "%%": "%",
    }


def _timestamp(ts: str) -> tuple[datetime, int]:
    """Local date and time, and its offset from UTC in seconds."""
    match = _TIMESTAMP.fullmatch(ts)
    if not match:
        raise PrimitiveError(
            f"{show(ts)} is not a timestamp; write RFC 3339 with an offset and at most six digits after the "
            'second, such as "2024-03-01T12:30:00Z" or "2024-03-01T12:30:00.25+01:00"'
        )
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    hours, minutes = int(match[9] or 0), int(match[10] or 0)
    try:
        local = datetime(year, month, day, hour, minute, second, int((match[7] or "").ljust(6, "0")))
        if hours > 23 or minutes > 59:
            raise ValueError
    except ValueError:
        raise PrimitiveError(
            f"{show(ts)} names a day or time that does not exist (years 0001 to 9999, no leap seconds)"
        ) from None
    return local, (-1 if match[8] == "-" else 1) * (hours * 3600 + minutes * 60)


def _timestamp_text(local: datetime, offset: int) -> str:
    fraction = f".{local.microsecond:06}".rstrip("0") if local.microsecond else ""
    return f"{local.isoformat(timespec='seconds')}{fraction}{_offset_text(offset) if offset else 'Z'}"


def _offset_text(offset: int) -> str:
    minutes = abs(offset) // 60
    return f"{'-' if offset < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


def _unix_microseconds(local: datetime, offset: int) -> int:
    return (local - _EPOCH) // timedelta(microseconds=1) - offset * _SECOND


def _seconds(microseconds: int) -> float:
    """Microseconds as seconds: an int when whole, else the nearest float."""
    whole, rest = divmod(microseconds, _SECOND)
    return microseconds / _SECOND if rest else whole


def duration_microseconds(duration: float | str | None) -> int:
    """Microseconds of a duration: a number of seconds, or text such as ``"1h30m"``; rounded to the nearest.

    Raises:
        PrimitiveError: not a duration, or over ``MAX_DURATION_DAYS``.
    """
    if isinstance(duration, str):
        exact = _duration_text_microseconds(duration)
    elif duration is None or isinstance(duration, bool):
        raise PrimitiveError('a duration is a finite number of seconds or text such as "30s"')
    else:
        exact = EXACT.multiply(exact_decimal("duration", duration), Decimal(_SECOND))
    if abs(exact) > MAX_DURATION_DAYS * _UNITS["d"]:
        raise PrimitiveError(f"the duration is over {MAX_DURATION_DAYS:,} days, the limit")
    return int(exact.to_integral_value(ROUND_HALF_EVEN, EXACT))


def _duration_text_microseconds(text: str) -> Decimal:
    body = f"{text}s" if len(text) <= _LONGEST_DURATION and _NUMBER.fullmatch(text) else text
    parts = _DURATION_PART.findall(body) if len(text) <= _LONGEST_DURATION and _DURATION.fullmatch(body) else []
    order = [list(_UNITS).index(unit) for _, unit in parts]
    if not parts or any(b <= a for a, b in pairwise(order)):
        raise PrimitiveError(
            f"{show(text)} is not a duration; write a number of seconds, or text such as "
            '"250ms", "30s", "1h30m", "2d" (units d h m s ms, largest first)'
        )
    total = Decimal(0)
    for amount, unit in parts:
        total = EXACT.add(total, EXACT.multiply(Decimal(amount), Decimal(_UNITS[unit])))
    return -total if text.startswith("-") else total


def duration_seconds(duration: float | str | None) -> float:
    """Seconds of a duration, an int when whole; errors as ``duration_microseconds``."""
    return _seconds(duration_microseconds(duration))


def duration_text(duration: float | str | None) -> str:
    """A duration as text with units, ``"1h30m"``, exact to the microsecond; errors as ``duration_microseconds``."""
    microseconds = duration_microseconds(duration)
    rest, text = abs(microseconds), ""
    for unit, size in _UNITS.items():
        amount, rest = divmod(rest, size)
        fraction = f".{rest:03}".rstrip("0") if unit == "ms" and rest else ""
        if amount or fraction:
            text += f"{amount}{fraction}{unit}"
    return ("-" if microseconds < 0 else "") + (text or "0s")
