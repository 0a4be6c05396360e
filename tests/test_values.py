"""The value codec: everything comes back as it was, and nothing hostile gets through or breaks it."""

from __future__ import annotations

import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowmetal import values
from flowmetal.errors import ValueCodecError
from flowmetal.values import Failure, Wire, check, from_python, pack, to_json_data, to_text, unpack

relaxed = settings(deadline=None)

# -- wire data of every shape --------------------------------------------------------------------------

texts = st.text(max_size=8)
big_ints = (st.integers(min_value=2**63) | st.integers(max_value=-(2**63) - 1)).map(lambda n: {"int": str(n)})
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | big_ints
    | st.sampled_from(["nan", "inf", "-inf"]).map(lambda name: {"float": name})
)


def flat(pairs: list[tuple[Wire, Wire]]) -> list[Wire]:
    return [item for pair in pairs for item in pair]


def compound(inner: st.SearchStrategy[Wire]) -> st.SearchStrategy[Wire]:
    lists = st.lists(inner, max_size=4)
    failure = st.tuples(texts, texts, inner, texts, texts, texts, inner)
    return st.one_of(
        lists,
        lists.map(lambda items: {"tuple": items}),
        st.lists(st.tuples(inner, inner), max_size=3).map(lambda pairs: {"dict": flat(pairs)}),
        st.lists(st.tuples(texts, inner), max_size=3).map(lambda pairs: {"struct": flat(pairs)}),
        st.tuples(st.booleans(), inner, inner).map(lambda fields: {"result": list(fields)}),
        failure.map(lambda fields: {"failure": list(fields)}),
        st.tuples(texts, inner).map(lambda fields: {"flow": list(fields)}),
        st.tuples(texts, inner).map(lambda fields: {"effect": list(fields)}),
        st.tuples(texts, texts).map(lambda fields: {"secret": list(fields)}),
        st.tuples(st.integers(1, 2**63 - 1), texts).map(lambda fields: {"task": list(fields)}),
    )


wires = st.recursive(scalars, compound, max_leaves=12)


def same(one: Wire, two: Wire) -> bool:
    """Equal with types: 1, 1.0 and True are three values, 0.0 and -0.0 two."""
    return repr(one) == repr(two)


@relaxed
@given(wires)
def test_unpack_gives_what_was_packed(wire: Wire) -> None:
    check(wire)
    data = pack(wire)
    assert same(unpack(data), wire)
    assert pack(unpack(data)) == data


@relaxed
@given(wires, wires)
def test_equal_bytes_are_equal_values(one: Wire, two: Wire) -> None:
    assert (pack(one) == pack(two)) == same(one, two)


@pytest.mark.parametrize(
    ("one", "two"), [(1, 1.0), (1, True), (0, False), (0.0, -0.0), (None, False), ([], {"tuple": []})]
)
def test_what_python_takes_for_one_is_apart(one: Wire, two: Wire) -> None:
    assert pack(one) != pack(two)
    assert type(unpack(pack(one))) is type(one)


def test_the_order_of_a_dict_is_part_of_it() -> None:
    assert pack(from_python({"a": 1, "b": 2})) != pack(from_python({"b": 2, "a": 1}))


# -- hostile bytes -------------------------------------------------------------------------------------


def unpacks_or_says_why(data: bytes) -> None:
    try:
        wire = unpack(data)
    except ValueCodecError:
        return
    assert same(unpack(pack(wire)), wire)
    json.dumps(to_json_data(wire))
    assert len(to_text(wire)) <= 120


@relaxed
@given(st.binary(max_size=100))
def test_any_bytes(data: bytes) -> None:
    unpacks_or_says_why(data)


@relaxed
@given(wires, st.data())
def test_damaged_bytes(wire: Wire, data: st.DataObject) -> None:
    record = bytearray(pack(wire))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    unpacks_or_says_why(bytes(record))


TAGS = ["int", "float", "tuple", "dict", "struct", "result", "failure", "flow", "effect", "task", "secret", "other", ""]
anything = st.recursive(
    scalars | st.binary(max_size=4) | st.floats() | st.just(msgpack.ExtType(5, b"x")) | st.just(msgpack.Timestamp(1)),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.sampled_from(TAGS), inner, max_size=2)
        | st.dictionaries(st.integers() | st.binary(max_size=2), inner, max_size=2)
    ),
    max_leaves=10,
)


@relaxed
@given(anything)
@example({"float": []})
@example({"float": {"int": "1"}})
@example({"int": ""})
@example({"int": "-"})
@example({"int": "²"})
def test_any_messagepack(plain: Any) -> None:
    try:
        data = msgpack.packb(plain)
    except (OverflowError, ValueError):
        return  # not even MessagePack can say it
    unpacks_or_says_why(data)


@pytest.mark.parametrize(
    "plain",
    [
        b"bytes",
        math.nan,
        math.inf,
        2**64 - 1,
        {},
        {"tuple": [], "dict": []},
        {"unknown": []},
        {"int": "5"},
        {"int": str(2**63 - 1)},
        {"int": "0" + str(2**70)},
        {"int": "+" + str(2**70)},
        {"int": 5},
        {"int": "1" * 4097},
        {"float": "NaN"},
        {"float": 1.5},
        {"float": ["nan"]},
        {"tuple": "text"},
        {"dict": [1]},
        {"struct": [1, 2]},
        {"struct": ["a"]},
        {"result": [True, None]},
        {"result": [1, None, None]},
        {"failure": ["kind"] * 6},
        {"failure": [1, "", None, "", "", "", None]},
        {"flow": [1, None]},
        {"effect": ["name"]},
        {"task": [0, "name"]},
        {"task": [True, "name"]},
        {"task": [1, 2]},
        [1, [2, {"tuple": [b"deep"]}]],
    ],
)
def test_what_is_no_wire_data(plain: Any) -> None:
    with pytest.raises(ValueCodecError):
        unpack(msgpack.packb(plain))


@pytest.mark.parametrize("data", [b"", b"\xc0\xc0", b"\x91", b"\xc1", b"\xa2\xff\xff", b"\xdd\xff\xff\xff\xff"])
def test_what_is_no_messagepack(data: bytes) -> None:
    with pytest.raises(ValueCodecError):
        unpack(data)


# -- limits --------------------------------------------------------------------------------------------


def nested(depth: int) -> Wire:
    wire: Wire = 1
    for _ in range(depth):
        wire = [wire]
    return wire


def test_depth() -> None:
    check(nested(values.MAX_DEPTH))
    assert unpack(pack(nested(values.MAX_DEPTH))) == nested(values.MAX_DEPTH)
    for depth in (values.MAX_DEPTH + 2, 500):
        with pytest.raises(ValueCodecError, match="nested deeper"):
            check(nested(depth))
    for depth in (values.MAX_DEPTH + 2, 100_000):
        with pytest.raises(ValueCodecError):
            unpack(b"\x91" * depth + b"\x01")


def test_nodes() -> None:
    check([None] * (values.MAX_NODES - 1))
    with pytest.raises(ValueCodecError, match="nodes"):
        check([None] * values.MAX_NODES)


def test_bytes() -> None:
    fits = "x" * (values.MAX_BYTES - 5)
    assert unpack(pack(fits)) == fits
    with pytest.raises(ValueCodecError, match="limit") as raised:
        pack(fits + "x")
    assert "file" in raised.value.remedy
    with pytest.raises(ValueCodecError, match="limit"):
        unpack(msgpack.packb(fits + "x"))


def test_digits_of_an_int() -> None:
    longest = {"int": "9" * values.MAX_INT_DIGITS}
    assert unpack(pack(longest)) == longest


# -- Python and JSON -----------------------------------------------------------------------------------

python_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(texts | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@relaxed
@given(python_values)
def test_python_data_becomes_wire_data(value: object) -> None:
    wire = from_python(value)
    check(wire)
    assert same(unpack(pack(wire)), wire)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)


@relaxed
@given(json_values)
def test_json_data_comes_back_from_wire_data(value: object) -> None:
    assert same(to_json_data(from_python(value)), value)


@relaxed
@given(wires, st.integers(1, 200))
def test_all_wire_data_can_be_shown(wire: Wire, limit: int) -> None:
    json.dumps(to_json_data(wire), allow_nan=False)
    text = to_text(wire, limit)
    assert len(text) <= limit
    assert "\n" not in text


@pytest.mark.parametrize("value", [b"x", object(), {1}, 1j, [b"deep"], {b"k": 1}])
def test_other_python_values_are_refused(value: object) -> None:
    with pytest.raises(ValueCodecError, match="not a value of the language"):
        from_python(value)


@pytest.mark.parametrize(
    ("wire", "shown"),
    [
        ({"tuple": [1, 2]}, "[1, 2]"),
        ({"struct": ["a", 1]}, '{"a": 1}'),
        ({"dict": [1, 2]}, '{"$dict": [[1, 2]]}'),
        ({"float": "-inf"}, '{"$float": "-inf"}'),
        ({"int": str(2**70)}, str(2**70)),
        ({"task": [3, "n"]}, '{"$task": [3, "n"]}'),
        ("é\n", '"é\\n"'),
    ],
)
def test_how_values_look(wire: Wire, shown: str) -> None:
    assert to_text(wire) == shown


# -- outcomes ------------------------------------------------------------------------------------------


@relaxed
@given(st.builds(Failure, texts, texts, wires.filter(lambda wire: wire is not None), texts, texts, texts, st.none()))
def test_a_failure_is_wire_data(failure: Failure) -> None:
    wire = failure.to_wire()
    check(wire)
    assert repr(Failure.from_wire(unpack(pack(wire)))) == repr(failure)
    assert not values.is_ok(values.err(failure))
    assert repr(values.failure_of(values.err(failure))) == repr(failure)


def test_a_chain_goes_from_the_outside_in() -> None:
    inner = Failure("error", "inner")
    outer = Failure("failed", "outer", cause=inner.to_wire())
    assert [failure.message for failure in outer.chain()] == ["outer", "inner"]
    assert inner.chain() == [inner]


def test_ok_is_ok() -> None:
    assert values.is_ok(unpack(pack(values.ok([1]))))
    assert values.failure_of({"result": [False, None, "text"]}).message == '"text"'
