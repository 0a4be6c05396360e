"""Declared arguments: what fits, what a command line's text means, how calls bind."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flowmetal.language.arguments import RESERVED, Argument, ArgumentError, bind, moment_of
from flowmetal.language.flows import FlowInfo
from flowmetal.values import Wire, from_python

INTS = st.integers(-(2**80), 2**80)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | INTS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def declare(kind: str, name: str = "x", required: bool = True, default: Wire = None, **options: Wire) -> Argument:
    pairs: list[Wire] = []
    for key, value in options.items():
        pairs += (key, value)
    return Argument.from_wire([name, kind, required, default, "", {"dict": pairs}])


def unfit(kind: str, value: object, **options: Wire) -> str:
    with pytest.raises(ArgumentError) as caught:
        declare(kind, **options).validate(from_python(value))
    return caught.value.message


# -- texts of a command line ---------------------------------------------------------------------------


@given(INTS)
def test_an_int_is_parsed_from_its_digits(value: int) -> None:
    assert declare("int").parse(str(value)) == from_python(value)


@given(FLOATS)
def test_a_float_is_parsed_from_its_text(value: float) -> None:
    assert declare("float").parse(repr(value)) == from_python(value)


@given(TEXTS)
def test_a_string_is_its_text(value: str) -> None:
    assert declare("string").parse(value) == value


@given(JSON)
def test_any_is_parsed_as_json(value: Any) -> None:
    assert declare("any").parse(json.dumps(value)) == from_python(value)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_a_dict_is_parsed_as_json(value: dict[str, Any]) -> None:
    assert declare("dict").parse(json.dumps(value)) == from_python(value)


@given(st.lists(st.sampled_from(["a", "b", 1, 2.5, None]), min_size=1, max_size=4, unique=True), st.data())
def test_a_choice_is_parsed_from_its_text(choices: list[Any], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(choices))
    text = chosen if isinstance(chosen, str) else json.dumps(chosen)
    assert declare("choice", choices=choices).parse(text) == chosen


@given(TEXTS)
def test_no_text_does_anything_but_fit_or_be_refused(text: str) -> None:
    for kind in ("int", "float", "bool", "list", "dict", "duration", "timestamp", "path", "any"):
        argument = declare(kind)
        try:
            value = argument.parse(text)
        except ArgumentError:
            continue
        assert argument.validate(value) == value or value == {"float": "nan"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "1.0"), ("int", "1_000"), ("int", " 1"), ("int", "٣"), ("int", ""), ("int", "1" * 5_000),
        ("float", "1_0.5"), ("float", "abc"), ("float", "1e999"), ("float", ""), ("float", "infinity"),
        ("bool", "True"), ("bool", "yes"), ("list", "1,2"), ("dict", "[1]"), ("dict", "{"), ("any", "[" * 100_000),
        ("duration", "1x"), ("duration", "-5"), ("timestamp", "2024-01-01"), ("timestamp", "yesterday"),
        ("path", ""), ("path", "a\0b"),
    ],
)  # fmt: skip
def test_texts_that_mean_nothing_are_refused(kind: str, text: str) -> None:
    with pytest.raises(ArgumentError):
        declare(kind).parse(text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bool", "true", True), ("bool", "false", False), ("duration", "30", 30), ("duration", "1.5", 1.5),
        ("duration", "1h30m", "1h30m"), ("float", "3", 3.0), ("float", "-1e3", -1000.0),
        ("float", "-inf", {"float": "-inf"}),
        ("float", "nan", {"float": "nan"}), ("int", "+3", 3), ("int", "-0", 0), ("list", "[1]", [1]),
        ("timestamp", "2024-01-01T00:00:00+01:00", "2024-01-01T00:00:00+01:00"), ("path", "../x", "../x"),
        ("secret", "t", {"secret": ["t", ""]}),
    ],
)  # fmt: skip
def test_texts_that_mean_something(kind: str, text: str, value: Wire) -> None:
    parsed = declare(kind).parse(text)
    assert (type(parsed), parsed) == (type(value), value)


# -- values --------------------------------------------------------------------------------------------


@given(INTS, INTS, INTS)
def test_bounds_of_ints_are_exact(low: int, high: int, value: int) -> None:
    assume(low <= high)
    argument = declare("int", min=from_python(low), max=from_python(high))
    if low <= value <= high:
        assert argument.validate(from_python(value)) == from_python(value)
    else:
        with pytest.raises(ArgumentError, match="at least" if value < low else "at most"):
            argument.validate(from_python(value))


@given(INTS)
def test_an_int_becomes_a_float(value: int) -> None:
    got = declare("float").validate(from_python(value))
    assert type(got) is float
    assert got == float(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_special_floats_fit_only_where_nothing_is_bounded(value: float) -> None:
    wire = from_python(value)
    assert declare("float").validate(wire) == wire
    assert "must be at" in unfit("float", value, min=-1.0, max=1.0)


def test_lists_are_validated_item_by_item() -> None:
    argument = declare("list", of=["list", {"dict": ["of", ["float", {"dict": []}]]}])
    assert argument.validate([[1], [2.5]]) == [[1.0], [2.5]]
    with pytest.raises(ArgumentError, match=r"`x` at \[1\] at \[0\] must be a number, not \"a\""):
        argument.validate([[1], ["a"]])


def test_choices_tell_true_from_one() -> None:
    argument = declare("choice", choices=[1, "1", None])
    assert argument.validate(1) == 1
    for wrong in (True, 1.0, "2", [1]):
        with pytest.raises(ArgumentError, match='must be one of 1, "1", null'):
            argument.validate(wrong)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"min": "a"}, "its `min` is a number"),
        ({"min": 3, "max": 2}, "no value would fit"),
        ({"min": True}, "its `min` is a number"),
        ({"min": {"float": "nan"}, "max": 1}, "no value would fit"),
    ],
)
def test_declarations_that_nothing_fits_are_refused(options: dict[str, Wire], says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        declare("int", **options)


@pytest.mark.parametrize("name", [*sorted(RESERVED), "a-b", "1a", "", "é", "a b"])
def test_names_that_cannot_be_ones(name: str) -> None:
    with pytest.raises(ArgumentError):
        declare("int", name=name)


def test_a_default_is_validated_and_converted() -> None:
    assert declare("float", required=False, default=3).default == 3.0
    assert type(declare("float", required=False, default=3).default) is float
    with pytest.raises(ArgumentError, match="the default of the argument `x` must be an int"):
        declare("int", required=False, default="a")


def test_moments() -> None:
    assert moment_of("1970-01-01T00:00:01Z") == 1
    assert moment_of("1970-01-01T01:00:00.5+01:00") == 0.5
    for wrong in (
        "1970-01-01",
        "1970-01-01 00:00:00Z",
        "1970-01-01T00:00:00",
        "19700101T000000Z",
        "1970-W01-1T00:00:00Z",
        3,
        None,
    ):
        with pytest.raises(ArgumentError):
            moment_of(wrong)


# -- binding -------------------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d"]


@given(
    st.lists(st.booleans(), max_size=4),
    st.lists(INTS, max_size=5),
    st.dictionaries(st.sampled_from([*NAMES, "e"]), INTS, max_size=5),
)
def test_binding_keeps_its_laws(required: list[bool], args: list[int], kwargs: dict[str, int]) -> None:
    """The laws of binding, told by dicts."""
    declared = [
        declare("int", name=name, required=needed, default=None if needed else -1)
        for name, needed in zip(NAMES, required, strict=False)
    ]
    flat = [each for name, value in kwargs.items() for each in (name, from_python(value))]
    names = [argument.name for argument in declared]
    wanted: dict[str, int] | None = dict(zip(names, args, strict=False))
    if len(args) > len(names) or set(kwargs) - set(names) or set(kwargs) & set(wanted or {}):
        wanted = None
    else:
        wanted = {**wanted, **kwargs}  # type: ignore[dict-item]
        missing = [argument for argument in declared if argument.name not in wanted]
        is_complete = not any(argument.required for argument in missing)
        wanted = {**dict.fromkeys(names, -1), **wanted} if is_complete else None
    try:
        bound = bind("f", declared, [from_python(each) for each in args], flat)
    except ArgumentError:
        assert wanted is None
    else:
        assert wanted is not None
        assert bound == [each for name in names for each in (name, from_python(wanted[name]))]


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ([1, 2, 3], [], "f takes 2 arguments, got 3 by position"),
        ([], ["limit", 1], "f needs the argument `n` (int)"),
        ([1], ["limt", 1], "f has no argument `limt`, did you mean `limit`?"),
        ([1], ["n", 1], "f got the argument `n` twice"),
        ([], ["n", 1, "n", 1], "f got the argument `n` twice"),
        ([1], ["name", "x"], "f has no argument `name`"),
    ],
)
def test_what_a_call_gets_wrong_is_named(args: list[Wire], kwargs: list[Wire], says: str) -> None:
    declared = [declare("int", name="n"), declare("int", name="limit", required=False, default=1)]
    with pytest.raises(ArgumentError) as caught:
        bind("f", declared, args, kwargs)
    assert caught.value.message.startswith(says)


def test_what_is_known_of_a_flow_crosses_as_data() -> None:
    arguments = (declare("list", of=["int", {"dict": ["min", 1]}]), declare("choice", name="c", choices=["a", 1]))
    info = FlowInfo("//m.flow:f", "f", "//m.flow", "f", 3, "doc", arguments, True)
    assert FlowInfo.from_data(json.loads(json.dumps(info.to_data()))) == info
    assert info.place == "m.flow:3"
