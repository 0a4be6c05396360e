"""json.encode and json.decode."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.json_reading import _first_fault
from flowmetal.language.primitives import PrimitiveError
from flowmetal.language.primitives.json_reading import json_decode
from flowmetal.language.primitives.json_writing import json_encode
from flowmetal.values import MAX_BYTES, from_python

CHARACTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CHARACTERS
JSON_DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CHARACTERS, inner, max_size=4), max_leaves=20
)

DECODED: list[tuple[str, Any]] = [
    ("null", None),
    (" [ ] ", []),
    ("{}", {}),
    ("-0.0", -0.0),
    ("-0", 0),
    ("1E2", 100.0),
    ("1e-400", 0.0),
    ("12345678901234567890123", 12345678901234567890123),
    ("9" * 4096, int("9" * 4096)),
    ("-" + "9" * 4096, -int("9" * 4096)),
    ('"\\u00e9\\ud83d\\ude00\\n"', "é😀\n"),
    ('"\\\\ud800"', "\\ud800"),
    ('{"a": 1, "b": 2, "a": 3}', {"a": 3, "b": 2}),
    ('{"": {"deep": [true, false]}}', {"": {"deep": [True, False]}}),
    ("[" * 64 + "]" * 64, None),
    ('["' + "[" * 1000 + '"]', ["[" * 1000]),
    ('["\\"' + "[" * 1000 + '"]', ['"' + "[" * 1000]),
]

REFUSED: list[tuple[str, str]] = [
    ("", "line 1 column 1: the text ends where a value was expected"),
    ("  \n ", "line 2 column 2: the text ends where a value was expected"),
    ("[1,\n 2,]", 'line 2 column 4: "]" where a value was expected'),
    ('{"a": 1,}', 'line 1 column 9: "}" where a key in double quotes was expected'),
    ('{"a" 1}', 'line 1 column 6: "1" where `:` was expected'),
    ('{"a": 1 "b"}', 'line 1 column 9: "\\"b\\"" where `,` or `}` was expected'),
    ("[1 2]", 'line 1 column 4: "2" where `,` or `]` was expected'),
    ("{1: 2}", 'line 1 column 2: "1" where a key in double quotes or `}` was expected'),
    ("[1}", 'line 1 column 3: "}" where `,` or `]` was expected'),
    ("]", 'line 1 column 1: "]" where a value was expected'),
    ("1 2", 'line 1 column 3: "2" where the end of the text was expected'),
    ("01", 'line 1 column 2: "1" where the end of the text was expected'),
    ("1.", 'line 1 column 2: "." where the end of the text was expected'),
    ("+1", 'line 1 column 1: "+1" where a value was expected'),
    ("tru", 'line 1 column 1: "tru" where a value was expected'),
    ("True", "line 1 column 1: JSON writes true"),
    ("[None]", "line 1 column 2: JSON writes null"),
    ("{'a': 1}", "line 1 column 2: JSON strings take double quotes"),
    ("[1] // x", "line 1 column 5: JSON has no comments"),
    ("NaN", "line 1 column 1: JSON has no NaN; write null"),
    ("[-Infinity]", "line 1 column 2: JSON has no infinity; write null"),
    ("\ufeff1", "line 1 column 1: the text begins with a byte-order mark"),
    ('"a\nb"', "line 1 column 3: a control character inside a string; write it as \\u000a"),
    ('"abc', "line 1 column 1: a string that does not end"),
    ('"a\\x41"', 'line 1 column 3: "\\\\x41\\"" is no escape of JSON'),
    ('"\\u12"', "is no escape of JSON"),
    ("[1e400]", 'line 1 column 2: the number "1e400" is too large for a float'),
    ("[-1.5E999]", 'line 1 column 2: the number "-1.5E999" is too large'),
    ('"ab\\ud800"', "line 1 column 4: half a surrogate pair"),
    ('["\\\\\\udc00"]', "line 1 column 5: half a surrogate pair"),
    ('{"\\ud83d\\ud83d\\ude00": 1}', "line 1 column 3: half a surrogate pair"),
    ("9" * 4097, "line 1 column 1: an int of 4,097 digits; the limit is 4,096"),
    ("9" * 10**6, "an int of 1,000,000 digits"),
    ("[" * 65 + "]" * 65, "nested deeper than 64"),
    ("[" * 100_000, "nested deeper than 64"),
    ('{"a":' * 100_000, "nested deeper than 64"),
    ('["' + "x" * MAX_BYTES + '"]', "the text is over 1,048,576 bytes"),
]


@pytest.mark.parametrize(("text", "value"), DECODED, ids=lambda item: repr(item)[:30])
def test_decode(helpers: Any, text: str, value: Any) -> None:
    result = helpers("json.decode", text)
    if value is not None or text == "null":
        assert result == value
        assert type(result) is type(value)
        assert str(result) == str(value)


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=lambda item: repr(item)[:30])
def test_decode_refuses(helpers: Any, text: str, message: str) -> None:
    shown = helpers.fails("json.decode", text)
    assert shown.startswith("json.decode: ")
    assert message in shown
    assert len(shown) < 200


def test_the_float_that_the_interpreter_prints_wrong_is_decoded_right(helpers: Any) -> None:
    assert helpers("json.decode", "[5e-324, 1e16, 123456789.125]") == [5e-324, 1e16, 123456789.125]


@given(JSON_DATA)
def test_encode_then_decode_is_identity(helpers: Any, value: Any) -> None:
    for options in ({}, {"indent": 2}):
        result = helpers("json.decode", helpers("json.encode", value, **options))
        assert repr(result) == repr(value)


@given(JSON_DATA)
def test_encode_agrees_with_python(helpers: Any, value: Any) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    assert helpers("json.encode", value, sort_keys=True) == expected


@given(JSON_DATA, st.data())
def test_damaged_text_gets_our_own_words(helpers: Any, value: Any, data: st.DataObject) -> None:
    """The finder of faults and Python's decoder agree on what is JSON."""
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + data.draw(st.sampled_from([*'[]{},:"\\ 0-.eEtfnuN\n\x00', ""])) + text[at + 1 :]
    refusal = ""
    try:
        json_decode(text)
    except PrimitiveError as error:
        refusal = str(error)
    assert ("line " in refusal) == (refusal != "") == (_first_fault(text) is not None)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ({"tuple": [1, {"tuple": []}]}, "[1,[]]"),
        ({"struct": ["b", 1, "a", {"int": "1" + "0" * 30}]}, '{"b":1,"a":1' + "0" * 30 + "}"),
        ({"dict": ["é", -0.0, "x", 1e16]}, '{"é":-0.0,"x":1e+16}'),
        ("\u2028\x7f\x00", '"\u2028\x7f\\u0000"'),
    ],
)
def test_encode_of_wire_data(wire: Any, text: str) -> None:
    assert json_encode(wire, None, False) == text


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ({"float": "nan"}, "the value is nan, which JSON cannot say"),
        ({"dict": ["a", [1, {"float": "-inf"}]]}, "`$.a[1]` is -inf"),
        ({"dict": [1, 2]}, "the value has the key 1; keys of JSON are strings, write str(key)"),
        ({"dict": [True, 2]}, "has the key True"),
        ({"struct": ["s", {"dict": [{"tuple": []}, 2]}]}, "`$.s` has the key of type tuple"),
        ([{"result": [True, 1, None]}], "`$[0]` is a Result; unwrap it"),
        ({"failure": ["failed", "m", {"dict": []}, "", "", "", None]}, "is a Failure; write the fields"),
        ({"flow": ["f", {"dict": []}]}, "is a Flow; write its name"),
        ({"effect": ["read", {"dict": []}]}, "is an effect"),
        ({"task": [1, "t"]}, "is a Task; wait for it first"),
        ([{"int": "9" * 5_000}], "`$[0]` is an int of 5,000 digits; the limit is 4,096"),
        ("x" * (MAX_BYTES + 1), "the result is over 1,048,576 bytes"),
    ],
)
def test_encode_refuses(wire: Any, message: str) -> None:
    for indent in (None, 2):
        with pytest.raises(PrimitiveError) as caught:
            json_encode(wire, indent, False)
        assert message in str(caught.value)


def test_encode_indents_without_passing_its_limit() -> None:
    wire: Any = ["x"] * 50_000
    for _ in range(60):
        wire = [wire]
    with pytest.raises(PrimitiveError, match="over 1,048,576 bytes"):
        json_encode(wire, 8, False)
    for indent in (-1, 9):
        with pytest.raises(PrimitiveError, match="indent is a number"):
            json_encode([], indent, False)


def test_encode_depth() -> None:
    wire: Any = 1
    for _ in range(64):
        wire = [wire]
    assert json_encode(wire, None, False) == "[" * 64 + "1" + "]" * 64
    with pytest.raises(PrimitiveError, match="nested deeper than 64"):
        json_encode([wire], None, False)


def test_python_values_that_are_no_json_cross_to_nothing_silently() -> None:
    with pytest.raises(PrimitiveError, match="nan"):
        json_encode(from_python([math.nan]), None, False)


@pytest.mark.parametrize(
    "text",
    [
        '"' + "a" * 1_000_000 + "\x01",
        '"' + "\\n" * 500_000 + "\\x",
        '"' + "\\" * 1_000_000,
        '"\\"' * 300_000,
        "[" + '"",' * 300_000,
        "{}" * 500_000,
        " " * 1_000_000,
        "[" + '"\\ud800",' * 100_000 + "1]",
    ],
    ids=lambda text: text[:12],
)
@pytest.mark.timeout(20)
def test_large_hostile_text_is_refused_in_linear_time(text: str) -> None:
    with pytest.raises(PrimitiveError, match=r"json\.decode: line 1 column"):
        json_decode(text)
