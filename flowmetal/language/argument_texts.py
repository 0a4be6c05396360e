"""What the text of a command line means as the value of a declared argument."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

from flowmetal.language.argument_types import Unfit
from flowmetal.values import Wire, from_python, to_text

_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?|[+-]?inf|nan")
_INT: Final = re.compile(r"[+-]?[0-9]{1,4096}")


def parse_text(kind: str, options: Mapping[str, Wire], text: str) -> Wire:
    """The value that a command line's text means; whether it fits is another question.

    Raises:
        Unfit: it means none.
    """
    if kind == "int":
        if re.fullmatch(r"[+-]?[0-9]{4097,}", text):
            raise Unfit(f"must be an int of at most 4,096 digits, not of {len(text):,}")
        if not _INT.fullmatch(text):
            raise Unfit(f"must be an int, not {text!r}")
        return from_python(int(text))  # 4,096 digits is what Python's own limit lets through
    if kind == "float":
        number = float(text) if _FLOAT.fullmatch(text) else None
        if number is None or (math.isinf(number) and "inf" not in text):
            raise Unfit(f"must be a number that a float can hold, not {text!r}")
        return from_python(number)
    if kind == "bool":
        if text not in ("true", "false"):
            raise Unfit(f"must be true or false, not {text!r}")
        return text == "true"
    if kind in ("dict", "any", "list"):
        return _parse_json(text)
    if kind == "choice":
        return next((choice for choice in options["choices"] if _choice_text(choice) == text), text)
    if kind == "duration" and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text) if "." in text else int(text)
    return text


def _choice_text(choice: Wire) -> str:
    return choice if isinstance(choice, str) else to_text(choice)


def load_json(text: str) -> Any:
    """JSON as Python's data.

    Raises:
        ValueError: it is none, or has a number that cannot be held as it is.
        RecursionError: it is nested too deep.
    """
    return json.loads(text, parse_float=_float, parse_int=_int)


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:40]} is larger than any float")
    return number


def _int(text: str) -> int:
    if len(text) > 4_096:
        raise ValueError(f"an int has {len(text):,} digits, and 4,096 are the most")
    return int(text)


def _parse_json(text: str) -> Wire:
    try:
        return from_python(load_json(text))
    except (ValueError, RecursionError) as error:
        raise Unfit(f"must be JSON: {error}") from None
