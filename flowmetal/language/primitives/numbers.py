"""Rounding and text of numbers, by decimal arithmetic.

The interpreter hands over NaN and infinities as None, so None in place of a number means "not finite" here.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from flowmetal.language.primitives.shared import PrimitiveError, show
from flowmetal.values import MAX_INT_DIGITS

MAX_DECIMALS: Final = 100
MAX_ROUND_DIGITS: Final = 400

_INT_BOUND: Final = 10**MAX_INT_DIGITS
EXACT: Final = Context(prec=MAX_INT_DIGITS + 2 * MAX_ROUND_DIGITS, rounding=ROUND_HALF_EVEN)
"""Precise enough for every number that a flow may hold."""


def float_text(x: float | None) -> str:
    """The shortest decimal text that reads back as the same float; the interpreter's own keeps 7 digits.

    Raises:
        PrimitiveError: a number that is not finite.
    """
    if x is None:
        raise PrimitiveError("the number is NaN or infinite")
    return repr(float(x))


def format_number(x: float | None, decimals: int, thousands: str) -> str:
    """``x`` with exactly ``decimals`` digits after the point; ties to the even digit, judged by the decimal text.

    Raises:
        PrimitiveError: a number that is not finite or too large, decimals out of 0 to 100, a separator not offered.
    """
    number = exact_decimal("format_number", x)
    if not 0 <= decimals <= MAX_DECIMALS:
        raise PrimitiveError(f"format_number: decimals is an int from 0 to {MAX_DECIMALS}")
    if thousands not in ("", ",", "_", " ", "'", "\u00a0", "\u202f"):
        raise PrimitiveError(f"format_number: thousands is one of , _ ' or a space, not {show(thousands)}")
    rounded = number.quantize(Decimal(1).scaleb(-decimals), context=EXACT)
    text = format(rounded if rounded else abs(rounded), ",f" if thousands else "f")
    return text.replace(",", thousands) if thousands else text


def round_number(x: int | float | None, digits: int | None) -> int | float:
    """``x`` rounded as by ``format_number``: to an int without ``digits``, else to a number of the same type.

    Raises:
        PrimitiveError: a number that is not finite or too large, digits out of -400 to 400.
    """
    number = exact_decimal("round", x)
    if digits is not None and abs(digits) > MAX_ROUND_DIGITS:
        raise PrimitiveError(f"round: digits is an int from -{MAX_ROUND_DIGITS} to {MAX_ROUND_DIGITS}")
    if isinstance(x, int) and (digits is None or digits >= 0):
        return x
    rounded = number.quantize(Decimal(1).scaleb(-(digits or 0)), context=EXACT)
    if digits is None or isinstance(x, int):
        return int(rounded)
    result = float(rounded)
    if math.isinf(result):
        raise PrimitiveError("round: the result is too large for a float")
    return result


def exact_decimal(name: str, x: int | float | None) -> Decimal:
    """The number whose decimal text is that of ``x``; ``name`` is the helper to blame."""
    if x is None:
        raise PrimitiveError(f"{name}: the number is NaN or infinite; test for that first")
    if isinstance(x, int) and not -_INT_BOUND < x < _INT_BOUND:
        raise PrimitiveError(f"{name}: the number has more than {MAX_INT_DIGITS:,} digits, the limit")
    return Decimal(x if isinstance(x, int) else repr(x))
