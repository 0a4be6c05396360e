"""Values of the language: as Starlark text, and as the wire data that they must be everywhere else."""

from __future__ import annotations

import keyword
import math
from dataclasses import dataclass

from hypothesis import strategies as st

from flowmetal.values import INT_MAX, INT_MIN, Wire


@dataclass(frozen=True)
class Value:
    """One value in both forms; ``key`` is what makes it another dict key, None for what is not hashable."""

    text: str
    wire: Wire
    key: object = None


def quoted(text: str) -> str:
    """A string literal."""
    escaped = ""
    for char in text:
        if char in '"\\':
            escaped += "\\" + char
        elif char.isprintable():
            escaped += char
        elif ord(char) < 0x80:
            escaped += f"\\x{ord(char):02x}"
        elif ord(char) < 0x10000:
            escaped += f"\\u{ord(char):04x}"
        else:
            escaped += f"\\U{ord(char):08x}"
    return f'"{escaped}"'


def integer(number: int) -> Value:
    wire: Wire = number if INT_MIN <= number <= INT_MAX else {"int": str(number)}
    return Value(f"({number})" if number < 0 else str(number), wire, ("number", number))


def floating(number: float) -> Value:
    if math.isnan(number):
        return Value('float("nan")', {"float": "nan"})
    if math.isinf(number):
        name = "inf" if number > 0 else "-inf"
        return Value(f'float("{name}")', {"float": name}, ("number", number))
    text = repr(number)
    return Value(f"({text})" if text.startswith("-") else text, number, ("number", number))


integers = st.one_of(
    st.integers(-(2**70), 2**70), st.integers(INT_MIN - 2, INT_MIN + 2), st.integers(INT_MAX - 2, INT_MAX + 2)
)
scalars = st.one_of(
    st.just(Value("None", None, "None")),
    st.booleans().map(lambda it: Value(str(it), it, ("bool", it))),
    integers.map(integer),
    st.integers(0, 400).map(lambda digits: integer(10**digits)),
    st.floats().map(floating),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda it: Value(quoted(it), it, ("text", it))),
)


def tuple_of(items: list[Value]) -> Value:
    inner = ", ".join(it.text for it in items) + ("," if len(items) == 1 else "")
    keys = tuple(it.key for it in items)
    return Value(f"({inner})", {"tuple": [it.wire for it in items]}, None if None in keys else keys)


def list_of(items: list[Value]) -> Value:
    return Value(f"[{', '.join(it.text for it in items)}]", [it.wire for it in items])


def dict_of(pairs: list[tuple[Value, Value]]) -> Value:
    inner = ", ".join(f"{key.text}: {value.text}" for key, value in pairs)
    return Value(f"{{{inner}}}", {"dict": [side.wire for pair in pairs for side in pair]})


def struct_of(fields: dict[str, Value]) -> Value:
    inner = ", ".join(f"{name} = {value.text}" for name, value in fields.items())
    return Value(f"struct({inner})", {"struct": [it for name in sorted(fields) for it in (name, fields[name].wire)]})


def failure_of(message: str, details: dict[str, Value], cause: Value | None) -> Value:
    inner = ", ".join(f"{quoted(name)}: {value.text}" for name, value in details.items())
    because = f", cause = {cause.text}" if cause else ""
    origin = 'flow = "f", source = "s", trace = "t"'
    text = f'Failure(kind = "made", message = {quoted(message)}, details = {{{inner}}}, {origin}{because})'
    wire = [it for name, value in details.items() for it in (name, value.wire)]
    return Value(text, {"failure": ["made", message, {"dict": wire}, "f", "s", "t", cause.wire if cause else None]})


def ok_of(value: Value) -> Value:
    return Value(f"Ok({value.text})", {"result": [True, value.wire, None]})


def err_of(failure: Value) -> Value:
    return Value(f"Err({failure.text})", {"result": [False, None, failure.wire]})


names = st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z").filter(lambda name: not keyword.iskeyword(name) and name != "load")
keys = st.one_of(scalars, st.lists(scalars, max_size=2).map(tuple_of)).filter(lambda it: it.key is not None)


def nested(values: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    failures = st.builds(
        failure_of,
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.dictionaries(names, values, max_size=2),
        st.none(),
    )
    chained = st.builds(failure_of, st.just("outer"), st.just({}), failures)
    return st.one_of(
        st.lists(values, max_size=4).map(list_of),
        st.lists(values, max_size=4).map(tuple_of),
        st.lists(st.tuples(keys, values), max_size=4, unique_by=lambda pair: pair[0].key).map(dict_of),
        st.dictionaries(names, values, max_size=3).map(struct_of),
        values.map(ok_of),
        failures,
        chained,
        chained.map(err_of),
    )


flows = st.just(Value("same", {"flow": ["//main.flow:same", {"dict": []}]}))
values = st.recursive(st.one_of(scalars, flows), nested, max_leaves=12)
