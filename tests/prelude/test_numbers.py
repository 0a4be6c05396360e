"""sum, round, format_number, forever."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.language.primitives.numbers import float_text

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
INTS = st.integers(-(10**40), 10**40)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum([])", 0),
        ("sum([1, 2, 3])", 6),
        ("sum((1, 2.5))", 3.5),
        ("sum(range(101))", 5050),
        ("sum([1 << 100, 1])", 2**100 + 1),
        ("sum([0.1, 0.2])", 0.1 + 0.2),
        ("sum([1], 0.5)", 1.5),
        ("sum({1: 'a', 2: 'b'})", 3),
        ("round(2.5)", 2),
        ("round(3.5)", 4),
        ("round(-2.5)", -2),
        ("round(7)", 7),
        ("round(2.675, 2)", 2.68),
        ("round(0.125, 2)", 0.12),
        ("round(1e300)", int(Decimal("1e300"))),
        ("round(1234.5, -2)", 1200.0),
        ("round(1250, -2)", 1200),
        ("round(1250, 2)", 1250),
        ("round(-0.04, 1)", -0.0),
        ("round(5e-324, 400)", 5e-324),
        ("format_number(0, 0)", "0"),
        ("format_number(3, 2)", "3.00"),
        ("format_number(2.675, 2)", "2.68"),
        ("format_number(0.5, 0)", "0"),
        ("format_number(1.5, 0)", "2"),
        ("format_number(-0.001, 2)", "0.00"),
        ("format_number(-1.005, 2)", "-1.00"),
        ("format_number(-1.015, 2)", "-1.02"),
        ("format_number(1e16, 1)", "10000000000000000.0"),
        ("format_number(123456789.125, 2, thousands = ',')", "123,456,789.12"),
        ("format_number(1 << 70, 0, thousands = ' ')", f"{2**70:,}".replace(",", " ")),
        ("format_number(999, 0, ',')", "999"),
        ("[i for i in forever()[:3]]", [0, 1, 2]),
        ("len(forever())", 2**31 - 1),
    ],
)
def test_values(helpers: Any, expression: str, value: Any) -> None:
    result = helpers.expression(expression)
    assert result == value
    assert type(result) is type(value)
    assert repr(result) == repr(value)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("sum([1, '2'])", "sum: a string is no number; convert it with int() or float()"),
        ("sum([True])", "sum: a bool is no number; write [1 if x else 0 for x in values]"),
        ("sum([None])", "sum: a NoneType is no number"),
        ("round(float('nan'))", "round: the number is NaN or infinite"),
        ("round(float('inf'), 2)", "round: the number is NaN or infinite"),
        ("round(1.5, 401)", "round: digits is an int from -400 to 400"),
        ("round(1.7e308, -308)", "round: the result is too large for a float"),
        ("round(1 << 14000)", "round: the number has more than 4,096 digits"),
        ("format_number(float('-inf'), 2)", "format_number: the number is NaN or infinite"),
        ("format_number(1, -1)", "format_number: decimals is an int from 0 to 100"),
        ("format_number(1, 101)", "format_number: decimals is an int from 0 to 100"),
        ("format_number(1, 2, '.')", 'thousands is one of , _ \' or a space, not "."'),
        ("format_number('1', 2)", "does not match the type annotation"),
        ("format_number(True, 2)", "does not match the type annotation"),
    ],
)
def test_errors(helpers: Any, expression: str, message: str) -> None:
    with pytest.raises(Exception, match="error: ") as caught:
        helpers.expression(expression)
    assert message in str(caught.value)


@given(FLOATS | INTS, st.integers(0, 30))
def test_format_number_is_half_even_on_the_decimal_text(helpers: Any, x: float, decimals: int) -> None:
    text = helpers("format_number", x, decimals)
    exact = Decimal(repr(x))
    assert abs(Decimal(text) - exact) <= Decimal(1).scaleb(-decimals) / 2
    assert len(text.partition(".")[2]) == decimals
    assert helpers("format_number", x, decimals, thousands="_").replace("_", "") == text


@given(FLOATS, st.integers(-20, 20))
def test_round_agrees_with_format_number(helpers: Any, x: float, digits: int) -> None:
    rounded = helpers("round", x, digits)
    if digits >= 0:
        assert rounded == float(helpers("format_number", x, digits))
    assert helpers("round", rounded, digits) == rounded


@given(INTS, st.integers(-45, 0))
def test_round_of_ints_is_exact(helpers: Any, x: int, digits: int) -> None:
    unit = 10**-digits
    expected = int((Decimal(x) / 10**-digits if abs(x) < 10**20 else Decimal(0)).to_integral_value(ROUND_HALF_EVEN))
    result = helpers("round", x, digits)
    assert result % unit == 0
    assert abs(result - x) * 2 <= unit
    if abs(x) < 10**20:
        assert result == expected * unit


@given(st.lists(INTS | FLOATS))
def test_sum_adds_from_left_to_right(helpers: Any, values: list[Any]) -> None:
    total: Any = 0
    for value in values:
        total += value
    assert repr(helpers("sum", values)).replace("None", repr(total)) == repr(total)


@given(FLOATS)
def test_float_text_is_exact(x: float) -> None:
    assert float(float_text(x)) == x
