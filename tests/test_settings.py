from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.settings import MAX_DURATION_SECONDS, Limits, format_duration, parse_duration


def test_limits_survive_the_journal() -> None:
    limits = Limits(fuel_ticks=7, evaluation_seconds=1.5)
    assert Limits.from_data(limits.to_data()) == limits
    assert set(map(type, limits.to_data().values())) == {int, float}


def test_what_is_not_named_has_its_default() -> None:
    assert Limits.from_data({"call_depth": 30}) == Limits(call_depth=30)


def test_an_unknown_limit_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no limit `fuel_tick`, did you mean `fuel_ticks`"):
        Limits.from_data({"fuel_tick": 1})


def test_a_depth_with_which_no_program_loads_is_refused() -> None:
    with pytest.raises(UsageError, match="`call_depth` is at least 20, not 19"):
        Limits(call_depth=19)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "7", None, float("nan")])
def test_a_count_is_a_positive_whole_number(value: object) -> None:
    with pytest.raises(UsageError, match="`call_depth` is a whole number above zero"):
        Limits.from_data({"call_depth": value})


@pytest.mark.parametrize("value", [0, -1.0, True, float("inf"), float("nan"), "1s"])
def test_a_time_is_a_positive_number(value: object) -> None:
    with pytest.raises(UsageError, match="`cpu_seconds` is a number above zero"):
        Limits.from_data({"cpu_seconds": value})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d1h1m1s1ms", 90_061.001),
        ("1.5h", 5400),
        ("0s", 0),
        (" 5m ", 300),
        ("30", 30),
        ("1.5", 1.5),
        (30, 30),
        (0.25, 0.25),
        (0, 0),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *["", "s", "1x", "1m1h", "1s1s", "-1s", "1 s 2", "1h 30m", "1e3", "inf", "nan", "٣s", "1s\n2m", "37000d"],
        *["9" * 70, -1, float("nan"), float("inf"), True, None, [], MAX_DURATION_SECONDS + 1, 10**400],
    ],
)
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(UsageError, match="is not a duration") as caught:
        parse_duration(value)  # type: ignore[arg-type]
    assert len(caught.value.message) < 500


def test_a_number_too_large_to_show_is_still_told() -> None:
    with pytest.raises(UsageError, match="so large a number is not a duration"):
        parse_duration(10**5000)


@given(st.integers(0, MAX_DURATION_SECONDS * 1_000))
def test_a_duration_is_read_as_it_was_shown(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1_000)) == milliseconds / 1_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1.5, "1.5s"), (60, "1m"), (5400, "1h30m"), (100, "1m40s"), (10, "10s"), (1e-9, "0s")],
)
def test_how_durations_are_shown(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_there_is_no_text_for_less_than_nothing() -> None:
    with pytest.raises(UsageError):
        format_duration(-1)
