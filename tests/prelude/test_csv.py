"""csv.parse and csv.format."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import starlark
from hypothesis import given
from hypothesis import strategies as st

WEATHER = Path(__file__).parents[2] / "examples/etl/data/seattle-weather.csv"

TEXTS = st.text(st.sampled_from(list('ab,;"\n\r\t é\ufeff')) | st.characters(exclude_categories=["Cs"]), max_size=8)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXTS, min_size=width, max_size=width), min_size=1, max_size=5)
)

PARSED: list[tuple[str, list[list[str]]]] = [
    ("", []),
    ("\n\n", []),
    ("a", [["a"]]),
    ("a,b\n", [["a", "b"]]),
    ("a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]]),
    ("\ufeffa,b\n", [["a", "b"]]),
    ('\ufeff"a",b\n', [["a", "b"]]),
    (",\n", [["", ""]]),
    ('""', [[""]]),
    ('""\n""', [[""], [""]]),
    ('""""', [['"']]),
    ('"a""b"""', [['a"b"']]),
    ('"a,b","c\nd"\n"","e\r\nf"\n', [["a,b", "c\nd"], ["", "e\r\nf"]]),
    ('a,"b"\n\nc,d', [["a", "b"], ["c", "d"]]),
    ('\n\n"a",b\n\n', [["a", "b"]]),
    ('a,"b"\r\n\r\nc,"d"\r\n', [["a", "b"], ["c", "d"]]),
    (" a , b ", [[" a ", " b "]]),
]

REFUSED: list[tuple[str, str]] = [
    ("a,b\n1\n", "line 2 has 1 field, but line 1 has 2"),
    ("a,b\n\n\n1,2,3\n", "line 4 has 3 fields, but line 1 has 2"),
    ('a,b\n"x\ny",1\n2\n', "line 4 has 1 field"),
    ('\n"a",b\n\n1,2,3', "line 4 has 3 fields, but line 2 has 2"),
    ("a,b,a\n", 'line 1 names two columns "a"'),
    ('"a\nb', "line 1: a quoted field begins here and does not end"),
    ('a,b\n1,"2\n3,4\n', "line 2: a quoted field begins here"),
    ('"a""', "line 1: a quoted field begins here"),
    ('"' * 100_001, "a quoted field begins here"),
    ('x\n\na"b"\n', "line 3: a quote inside an unquoted field"),
    ('"x\ny"z\n', 'line 2: "z" follows a closing quote'),
    ('"a" ,b', 'line 1: " " follows a closing quote'),
    ("a\r\nb\rc", "line 2 holds a carriage return by itself"),
    ('"a\n\n"\n\r', "line 4 holds a carriage return by itself"),
]


@pytest.mark.parametrize(("text", "rows"), PARSED)
def test_parse(helpers: Any, text: str, rows: list[list[str]]) -> None:
    assert helpers("csv.parse", text, header=False) == rows


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda item: repr(item)[:30])
def test_parse_refuses(helpers: Any, text: str, message: str) -> None:
    shown = helpers.fails("csv.parse", text)
    assert shown.startswith("csv.parse: ")
    assert message in shown


def test_header_gives_dicts_in_the_order_of_the_columns(helpers: Any) -> None:
    rows = helpers("csv.parse", 'z;a\n1;"2"\n3;4\n', delimiter=";")
    assert rows == [{"z": "1", "a": "2"}, {"z": "3", "a": "4"}]
    assert list(rows[0]) == ["z", "a"]
    assert helpers("csv.parse", "z,a\n") == []


@given(TABLES, st.booleans(), st.sampled_from(",;\t"))
def test_format_then_parse_is_identity(helpers: Any, table: list[list[str]], crlf: bool, delimiter: str) -> None:
    text = helpers("csv.format", table, crlf=crlf, delimiter=delimiter)
    assert helpers("csv.parse", text, header=False, delimiter=delimiter) == table


@given(TABLES)
def test_dicts_make_the_same_trip(helpers: Any, table: list[list[str]]) -> None:
    names = [f"{index}{name}" for index, name in enumerate(table[0])]
    rows = [dict(zip(names, row, strict=True)) for row in table]
    assert helpers("csv.parse", helpers("csv.format", rows)) == rows


@given(TABLES)
def test_agrees_with_python(helpers: Any, table: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows(table)  # else it leaves a lone \r bare
    assert helpers("csv.parse", written.getvalue(), header=False) == table
    text = helpers("csv.format", table)
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == table


@given(st.text(st.sampled_from(list('a,"\n\r')), max_size=30))
def test_any_text_is_parsed_or_refused_with_a_line(helpers: Any, text: str) -> None:
    refusal, rows = "", []
    try:
        rows = helpers("csv.parse", text, header=False)
    except starlark.StarlarkError as error:
        refusal = str(error)
    assert "csv.parse: line " in refusal or not refusal
    assert helpers("csv.parse", helpers("csv.format", rows), header=False) == rows


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        ([], {}, ""),
        ([], {"columns": ["a", "b"]}, "a,b\n"),
        ([{"a": 1, "b": None}], {}, "a,b\n1,\n"),
        ([{"a": 1, "b": 2}, {"b": 3, "a": 4}], {"crlf": True}, "a,b\r\n1,2\r\n4,3\r\n"),
        ([{"a": 1, "b": 2, "c": 3}], {"columns": ["c", "a"]}, "c,a\n3,1\n"),
        ([[1, "x y"], [2, "x,y"]], {"columns": ["n", "t"]}, 'n,t\n1,x y\n2,"x,y"\n'),
        ([[1, "x,y"]], {"delimiter": ";"}, "1;x,y\n"),
        ([[True, 2**70, -0.0]], {}, f"true,{2**70},-0.0\n"),
        ([[123456789.125, 1e16, 5e-324, 0.1]], {}, "123456789.125,1e+16,5e-324,0.1\n"),
        ([[""], ["a"]], {}, '""\na\n'),
        ([['a"b', "c\rd"]], {}, '"a""b","c\rd"\n'),
    ],
)
def test_format(helpers: Any, rows: list[Any], options: dict[str, Any], text: str) -> None:
    assert helpers("csv.format", rows, **options) == text


def test_format_of_what_only_starlark_has(helpers: Any) -> None:
    assert helpers.expression('csv.format([(1, 2), [float("nan"), float("-inf")]])') == "1,2\nnan,-inf\n"


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"a": 1}, {"b": 1}], {}, 'row 2 has no key "a"; its keys are "b"'),
        ([{"a": 1}, {"a": 1, "b": 1}], {}, 'row 2 has the key "b", which the first row has not'),
        ([{"a": 1}], {"columns": ["x"]}, 'row 1 has no key "x"'),
        ([[1, 2], [1]], {}, "row 2 has 1 field, not 2"),
        ([[1]], {"columns": ["a", "b"]}, "row 1 has 1 field, not 2"),
        ([[1], {"a": 1}], {}, "row 2 is a dict; rows are all dicts"),
        ([{"a": 1}, [1]], {}, "row 2 is a list; rows are all dicts"),
        (["ab"], {}, "row 1 is a string"),
        ([[[1]]], {}, "row 1 holds a list"),
        ([{"a": 1}, {"a": {}}], {}, "row 2 holds a dict"),
        ([[]], {}, "rows without fields"),
        ([{}], {}, "rows without fields"),
        ([[1]], {"delimiter": ",,"}, 'delimiter is one character, no double quote and no line break, not ",,"'),
        ([[1]], {"delimiter": '"'}, "delimiter is one character"),
    ],
)
def test_format_refuses(helpers: Any, rows: list[Any], options: dict[str, Any], message: str) -> None:
    shown = helpers.fails("csv.format", rows, **options)
    assert shown.startswith("csv.format: ")
    assert message in shown


def test_the_real_file_agrees_with_python(helpers: Any) -> None:
    text = WEATHER.read_text(encoding="utf-8")
    expected = list(csv.DictReader(io.StringIO(text)))
    assert len(expected) == 1461
    assert helpers("csv.parse", text) == expected
    assert helpers("csv.parse", text.replace("sun", '"sun"')) == expected
    assert helpers("csv.format", expected) == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    "text", ['"a",' * 250_000, '"",\n' * 250_000, '""' * 500_000, "," * 1_000_000, "\n" * 1_000_000]
)
@pytest.mark.timeout(20)
def test_large_text_is_parsed_in_linear_time(helpers: Any, text: str) -> None:
    assert helpers("csv.parse", text, header=False) is not None
