"""CSV files read and write as the prelude's ``csv`` does: the two are held against each other."""

from __future__ import annotations

from typing import Any

import pytest
import starlark
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.actions.csv_rows import CsvError, csv_text, read_rows, records
from flowmetal.values import Wire, from_python
from tests.prelude.conftest import Helpers, message_of
from tests.prelude.test_csv import PARSED, REFUSED

HELPERS = Helpers()
TEXTS = st.text(st.sampled_from(list('ab,;"\n\r\t é\ufeff')), max_size=12)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
CELLS = st.none() | st.booleans() | NUMBERS | TEXTS | st.lists(st.none(), max_size=1)
ROWS = st.one_of(
    st.lists(st.lists(CELLS, max_size=3), max_size=3),
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c,"]), CELLS, max_size=3), max_size=3),
    st.lists(st.lists(CELLS, max_size=2) | st.dictionaries(st.just("a"), CELLS) | st.integers(), max_size=3),
)


def parsed(text: str, delimiter: str, *, header: bool) -> Any:
    """What the effect reads, or the words of its refusal."""
    try:
        rows, first_line = read_rows(text, delimiter)
        return records(rows, first_line) if header else rows
    except CsvError as error:
        return f"csv.parse: {error}"


def formatted(rows: list[Wire], columns: list[str] | None, delimiter: str, *, crlf: bool) -> str:
    """What the effect writes, or the words of its refusal."""
    try:
        return csv_text(rows, columns, delimiter, crlf=crlf)
    except CsvError as error:
        return f"csv.format: {error}"


def of_the_prelude(name: str, *args: object, **kwargs: object) -> Any:
    try:
        return HELPERS(name, *args, **kwargs)
    except starlark.StarlarkError as error:
        return message_of(error)


@pytest.mark.parametrize(("text", "rows"), PARSED)
def test_what_the_prelude_reads(text: str, rows: list[list[str]]) -> None:
    assert parsed(text, ",", header=False) == rows


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_the_prelude_refuses(text: str, message: str) -> None:
    found = parsed(text, ",", header=True)
    assert isinstance(found, str)
    assert message in found


@given(TEXTS, st.sampled_from([",", ";", "\t", "a", " "]), st.booleans())
def test_any_text_is_read_alike(text: str, delimiter: str, header: bool) -> None:
    expected = of_the_prelude("csv.parse", text, header=header, delimiter=delimiter)
    found = parsed(text, delimiter, header=header)
    if isinstance(expected, str):
        assert isinstance(found, str), (text, found, expected)  # of two faults either may be told first
    else:
        assert found == from_python(expected)


@given(
    ROWS,
    st.none() | st.lists(st.sampled_from(["a", "b", "c,"]), max_size=3),
    st.sampled_from([",", ";", "1", "e"]),
    st.booleans(),
)
def test_any_rows_are_written_alike(rows: list[Any], columns: list[str] | None, delimiter: str, crlf: bool) -> None:
    expected = of_the_prelude("csv.format", rows, columns=columns, crlf=crlf, delimiter=delimiter)
    found = formatted(from_python(rows), columns, delimiter, crlf=crlf)
    if expected.startswith("csv.format: ") or found.startswith("csv.format: "):
        assert expected.startswith("csv.format: "), (rows, found, expected)
        assert found.startswith("csv.format: "), (rows, found, expected)
        first_word = expected.removeprefix("csv.format: ").split()[0]
        assert found.removeprefix("csv.format: ").startswith(first_word)
    else:
        assert found == expected


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_numbers_that_are_not_finite(text: str) -> None:
    found = formatted([[{"float": text}]], None, ",", crlf=False)
    assert found == HELPERS.expression(f'csv.format([[float("{text}")]])') == f"{text}\n"


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\r"])
def test_what_stands_between_fields(delimiter: str) -> None:
    assert formatted([], None, delimiter, crlf=False) == of_the_prelude("csv.format", [], delimiter=delimiter)
