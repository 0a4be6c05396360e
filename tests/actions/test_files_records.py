"""JSON and CSV files."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.actions.read import MAX_TEXT_BYTES
from flowmetal.values import MAX_NODES, Wire, from_python, ok, pack, to_json_data
from tests.actions.desk import Desk
from tests.prelude.test_json import JSON_DATA


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(JSON_DATA, st.none() | st.integers(0, 8), st.booleans())
def test_what_is_written_is_read(desk: Desk, value: Any, indent: int | None, sort_keys: bool) -> None:
    wire = from_python(value)
    desk("write_json", "out/v.json", wire, indent=indent, sort_keys=sort_keys)
    found = desk("read_json", "out/v.json")
    assert pack(found) == pack(wire) or sort_keys
    assert to_json_data(found) == value


def test_what_a_json_file_looks_like(desk: Desk, base: Path) -> None:
    value = from_python({"name": "Adä", "ids": (1, 2**70), "none": None, "half": 0.5, "in": {"b": 1, "a": []}})
    desk("write_json", "out/v.json", value)
    assert (base / "out" / "v.json").read_bytes().decode() == (
        '{\n  "name": "Adä",\n  "ids": [\n    1,\n    1180591620717411303424\n  ],\n  "none": null,\n'
        '  "half": 0.5,\n  "in": {\n    "b": 1,\n    "a": []\n  }\n}\n'
    )
    desk("write_json", "out/v.json", value, indent=None)
    assert (base / "out" / "v.json").read_text().startswith('{"name":"Adä","ids":[1,')
    (base / "out" / "v.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert desk("read_json", "out/v.json") == [1]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "effect", "as JSON: line 1 column 1: the text ends where a value was expected"),
        ("{\n 'a': 1}", "effect", "line 2 column 2: JSON strings take double quotes"),
        ("[1,\n1e400]", "effect", 'line 2 column 1: the number "1e400" is too large for a float'),
        ("[-1e400]", "effect", 'line 1 column 2: the number "-1e400" is too large'),
        ("9" * 4_097, "effect", "an int of 4,097 digits; the limit is 4,096"),
        ('"\\ud800"', "effect", "half a surrogate pair"),
        ("[" * 65 + "]" * 65, "effect", "nested deeper than 64"),
        ("[" * 500_000, "effect", "nested deeper than 64"),
        ("NaN", "effect", "JSON has no NaN"),
        (
            "[" + "0," * MAX_NODES + "0]",
            "limit",
            "more than 100,000 nodes; use `json.decode(text)` of what `read` gives",
        ),
        ("[" + "0.5," * 90_000 + '"' + "x" * 400_000 + '"]', "limit", "the limit is 1,048,576; use `json.decode"),
        ('"' + "x" * MAX_TEXT_BYTES + '"', "limit", "a value holds at most"),
    ],
)
def test_what_is_no_value(desk: Desk, base: Path, text: str, kind: str, message: str) -> None:
    (base / "in" / "v.json").write_text(text)
    failure = desk.failure("read_json", "in/v.json")
    assert failure.kind == kind
    assert failure.message.startswith("cannot read `in/v.json`")
    assert message in failure.message


def test_numbers_survive(desk: Desk, base: Path) -> None:
    (base / "in" / "v.json").write_text("[-1, -9223372036854775808, 18446744073709551616, 0.1, -0.0, 1e-400, 1E2]")
    found = desk("read_json", "in/v.json")
    assert found[:4] == [-1, -(2**63), {"int": str(2**64)}, 0.1]
    assert struct.pack(">ddd", *found[4:]) == struct.pack(">ddd", -0.0, 0.0, 100.0)
    (base / "in" / "v.json").write_text('{"a": 1, "b": 2, "a": 3}')
    assert desk("read_json", "in/v.json") == {"dict": ["a", 3, "b", 2]}


@pytest.mark.parametrize(
    ("value", "indent", "message"),
    [
        ({"float": "nan"}, 2, "the value is nan, which JSON cannot say"),
        ({"dict": ["a", [1, {"float": "inf"}]]}, 2, "`$.a[1]` is inf"),
        ({"dict": [1, 2]}, 2, "has the key 1; keys of JSON are strings"),
        (ok(1), 2, "a Result; unwrap it"),
        ({"secret": ["TOKEN", "abcd"]}, 2, "a Secret, whose text no flow can see"),
        (1, 9, "indent is a number of spaces from 0 to 8"),
        (1, -1, "indent is a number of spaces from 0 to 8"),
        (1, {"int": "9" * 30}, "indent is a number of spaces from 0 to 8"),
    ],
)
def test_what_json_cannot_say(desk: Desk, base: Path, value: Wire, indent: Wire, message: str) -> None:
    failure = desk.failure("write_json", "out/v.json", value, indent=indent)
    assert failure.kind == "error"
    assert message in failure.message
    assert os.listdir(base / "out") == []


def test_rows(desk: Desk, base: Path) -> None:
    rows = [{"dict": ["name", 'Ada, "the" first', "age", 36]}, {"dict": ["age", {"int": "9" * 30}, "name", None]}]
    desk("write_csv", "out/r.csv", rows)
    text = (base / "out" / "r.csv").read_bytes().decode()
    assert text == f'name,age\n"Ada, ""the"" first",36\n,{"9" * 30}\n'
    assert desk("read_csv", "out/r.csv") == [
        {"dict": ["name", 'Ada, "the" first', "age", "36"]},
        {"dict": ["name", "", "age", "9" * 30]},
    ]
    assert desk("read_csv", "out/r.csv", header=False)[0] == ["name", "age"]
    desk("write_csv", "out/r.csv", [[1, 2], {"tuple": [True, 0.5]}], columns=["a", "b"], crlf=True, delimiter=";")
    assert (base / "out" / "r.csv").read_bytes() == b"a;b\r\n1;2\r\ntrue;0.5\r\n"
    assert desk("read_csv", "out/r.csv", delimiter=";")[1] == {"dict": ["a", "true", "b", "0.5"]}
    desk("write_csv", "out/r.csv", [])
    assert desk("read_csv", "out/r.csv") == []


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("a,b\n1,2\n3\n", "effect", "cannot read `in/r.csv` as CSV: line 3 has 1 field, but line 1 has 2"),
        ('a,b\n"x\ny",1\n\n1,2,3\n', "effect", "line 5 has 3 fields"),
        ("a,a\n1,2\n", "effect", 'line 1 names two columns "a"; use header = False'),
        ('a\n"b\n', "effect", "line 2: a quoted field begins here and does not end"),
        ('a\nb\x1b[31m"\n', "effect", "line 2: a quote inside an unquoted field"),
        ("a,b\n" + "1,2\n" * 20_001, "limit", "more than 100,000 nodes; use `csv.parse(text)` of what `read` gives"),
    ],
)
def test_what_are_no_rows(desk: Desk, base: Path, text: str, kind: str, message: str) -> None:
    (base / "in" / "r.csv").write_text(text)
    failure = desk.failure("read_csv", "in/r.csv")
    assert failure.kind == kind
    assert message in failure.message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"dict": ["a", 1]}, {"dict": ["b", 1]}], 'row 2 has no key "a"'),
        ([{"dict": ["a", 1]}, {"dict": ["a", 1, "b", 2]}], 'row 2 has the key "b", which the first row has not'),
        ([[1, 2], [1]], "row 2 has 1 field, not 2"),
        ([[1], {"dict": ["a", 1]}], "row 2 is a dict"),
        ([[[1]]], "row 1 holds a list"),
        ([{"dict": ["a", {"secret": ["TOKEN", "ab"]}]}], "row 1 holds a secret"),
        (["a"], "row 1 is a str"),
        ([[]], "rows without fields"),
    ],
)
def test_what_is_no_table(desk: Desk, base: Path, rows: list[Wire], message: str) -> None:
    failure = desk.failure("write_csv", "out/r.csv", rows)
    assert failure.kind == "error"
    assert message in failure.message
    assert os.listdir(base / "out") == []


def test_wrong_arguments(desk: Desk) -> None:
    assert "delimiter is one character" in desk.failure("read_csv", "in/x", delimiter="::").message
    assert "delimiter is one character" in desk.failure("write_csv", "out/x", [], delimiter="").message
    assert "columns is a list of texts" in desk.failure("write_csv", "out/x", [[1]], columns=[1]).message
    assert "takes a int | None as `indent`" in desk.failure("write_json", "out/x", 1, indent="2").message
    for name in ("read_json", "read_csv"):
        assert desk.failure(name, "elsewhere/secret.txt").kind == "denied"
    for name in ("write_json", "write_csv"):
        assert desk.failure(name, "in/x", []).kind == "denied"
