"""Timestamps and durations, with Python's datetime as the reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=OFFSETS)
SAFE_MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(3000, 1, 1), timezones=OFFSETS)
MICROSECONDS = st.integers(-(10**15), 10**15)


def text_of(moment: datetime) -> str:
    """RFC 3339 as the helpers write it."""
    text = moment.isoformat()
    body, offset = text[:-6], text[-6:]
    if "." in body:
        body = body.rstrip("0")
    return body + ("Z" if offset == "+00:00" else offset)


def duration_of(microseconds: int) -> str:
    """A duration text of seconds, exact."""
    sign = "-" if microseconds < 0 else ""
    return f"{sign}{abs(microseconds) // 10**6}.{abs(microseconds) % 10**6:06}s"


@given(MOMENTS)
def test_parse_agrees_with_datetime(helpers: Any, moment: datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    microseconds = (moment - EPOCH) // timedelta(microseconds=1)
    assert helpers("time.parse", text_of(moment)) == {
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
        "microsecond": moment.microsecond,
        "offset_seconds": int(offset.total_seconds()),
        "weekday": moment.isoweekday(),
        "unix": microseconds / 10**6 if microseconds % 10**6 else microseconds // 10**6,
    }


@given(SAFE_MOMENTS)
def test_format_agrees_with_strftime(helpers: Any, moment: datetime) -> None:
    pattern = "%Y-%m-%d %H:%M:%S.%f %z %j %a %A %b %B %u %%"
    assert helpers("time.format", text_of(moment), pattern) == moment.strftime(pattern)
    assert helpers("time.format", text_of(moment), "%:z") == moment.isoformat()[-6:]


@given(SAFE_MOMENTS, MICROSECONDS)
def test_add_agrees_and_is_undone(helpers: Any, moment: datetime, microseconds: int) -> None:
    later = helpers("time.add", text_of(moment), duration_of(microseconds))
    assert later == text_of(moment + timedelta(microseconds=microseconds))
    assert helpers("time.add", later, duration_of(-microseconds)) == text_of(moment)


@given(SAFE_MOMENTS, SAFE_MOMENTS)
def test_diff_agrees_with_datetime(helpers: Any, a: datetime, b: datetime) -> None:
    microseconds = (a - b) // timedelta(microseconds=1)
    seconds = helpers("time.diff", text_of(a), text_of(b))
    assert seconds == microseconds / 10**6
    assert type(seconds) is (float if microseconds % 10**6 else int)
    assert helpers("time.diff", text_of(b), text_of(a)) == -seconds


@given(MICROSECONDS)
def test_duration_and_seconds_are_inverse(helpers: Any, microseconds: int) -> None:
    seconds = microseconds / 10**6 if microseconds % 10**6 else microseconds // 10**6
    assert helpers("seconds", duration_of(microseconds)) == seconds
    text = helpers("time.duration", duration_of(microseconds))
    assert helpers("seconds", text) == seconds
    assert helpers("time.duration", text) == text


@pytest.mark.parametrize(
    ("duration", "seconds", "text"),
    [
        ("250ms", 0.25, "250ms"),
        ("30s", 30, "30s"),
        ("1h30m", 5400, "1h30m"),
        ("90m", 5400, "1h30m"),
        ("2d", 172800, "2d"),
        ("1.5h", 5400, "1h30m"),
        ("-10m", -600, "-10m"),
        ("-1d1ms", -86400.001, "-1d1ms"),
        ("0s", 0, "0s"),
        ("30", 30, "30s"),
        ("-1.5", -1.5, "-1s500ms"),
        ("0.5ms", 0.0005, "0.5ms"),
        ("0.0000005s", 0, "0s"),
        (0, 0, "0s"),
        (-1.5, -1.5, "-1s500ms"),
        (0.1, 0.1, "100ms"),
        (10**11, 10**11, "1157407d9h46m40s"),
        (2.0, 2, "2s"),
    ],
)
def test_durations(helpers: Any, duration: Any, seconds: Any, text: str) -> None:
    result = helpers("seconds", duration)
    assert (result, type(result)) == (seconds, type(seconds))
    assert helpers("time.duration", duration) == text


@pytest.mark.parametrize(
    "text", ["", "-", "30 ", "s", "1m1h", "1s1s", "1 h", "+1s", "1.s", ".5s", "1e3s", "1w", "1S", "٣s", "1_0s", "--1s"]
)
def test_what_is_no_duration(helpers: Any, text: str) -> None:
    assert "is not a duration; write a number of seconds" in helpers.fails("seconds", text)


def test_durations_have_a_limit(helpers: Any) -> None:
    assert "is not a duration" in helpers.fails("seconds", "9" * 10**6 + "s")
    for hostile in ("3652501d", 10**400, 1e300, "9" * 90 + "d"):
        assert "over 3,652,500 days, the limit" in helpers.fails("seconds", hostile)
    assert helpers("seconds", "3652500d") == 315_576_000_000
    for expression in ("seconds(float('nan'))", "seconds(float('inf'))"):
        with pytest.raises(Exception, match="a duration is a finite number"):
            helpers.expression(expression)


@pytest.mark.parametrize(
    ("ts", "form"),
    [
        ("2024-02-29t00:00:00z", "2024-02-29T00:00:00Z"),
        ("2000-02-29T23:59:59.120000+00:00", "2000-02-29T23:59:59.12Z"),
        ("2024-01-01T00:00:00-00:00", "2024-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("9999-12-31T23:59:59.999999-12:00", "9999-12-31T23:59:59.999999-12:00"),
    ],
)
def test_forms_of_a_timestamp(helpers: Any, ts: str, form: str) -> None:
    assert helpers("time.add", ts, 0) == form


@pytest.mark.parametrize(
    ("ts", "message"),
    [
        ("", "is not a timestamp"),
        ("2024-01-01", "is not a timestamp"),
        ("2024-01-01T00:00:00", "is not a timestamp; write RFC 3339 with an offset"),
        ("2024-01-01 00:00:00Z", "is not a timestamp"),
        ("2024-01-01T00:00:00.1234567Z", "at most six digits"),
        ("2024-01-01T00:00:00Z\n", "is not a timestamp"),
        ("٢٠٢٤-01-01T00:00:00Z", "is not a timestamp"),
        ("2023-02-29T00:00:00Z", "does not exist"),
        ("1900-02-29T00:00:00Z", "does not exist"),
        ("2024-13-01T00:00:00Z", "does not exist"),
        ("2024-01-01T24:00:00Z", "does not exist"),
        ("2016-12-31T23:59:60Z", "no leap seconds"),
        ("0000-01-01T00:00:00Z", "years 0001 to 9999"),
        ("2024-01-01T00:00:00+24:00", "does not exist"),
        ("2024-01-01T00:00:00+01:60", "does not exist"),
        ("x" * 10**6, "is not a timestamp"),
    ],
)
def test_what_is_no_timestamp(helpers: Any, ts: str, message: str) -> None:
    for name, args in (("time.parse", []), ("time.format", ["%Y"]), ("time.add", [1]), ("time.diff", [ts])):
        shown = helpers.fails(name, ts, *args)
        assert message in shown
        assert len(shown) < 300


def test_results_outside_of_the_calendar(helpers: Any) -> None:
    assert "outside of the years" in helpers.fails("time.add", "9999-12-31T23:00:00Z", "1h")
    assert "outside of the years" in helpers.fails("time.add", "0001-01-01T00:00:00Z", "-1ms")


@pytest.mark.parametrize("pattern", ["%", "a%q", "%:", "%:a", "%\n", "%-d"])
def test_unknown_codes(helpers: Any, pattern: str) -> None:
    assert "is no code; the codes are %Y %m" in helpers.fails("time.format", "2024-01-01T00:00:00Z", pattern)
