from __future__ import annotations

from dataclasses import replace

import pytest

from flowmetal.actions import STANDARD, Effect, EffectContext, EffectFailure, Parameter, Registry
from flowmetal.actions.effect import TYPES, plain, type_name
from flowmetal.permissions import Want
from flowmetal.values import Wire, check, pack

WRITE = STANDARD["write"]


def wrong(effect: Effect, *args: Wire, **kwargs: Wire) -> str:
    with pytest.raises(EffectFailure) as caught:
        effect.bind(args, kwargs)
    assert caught.value.kind == "error"
    return caught.value.message


def test_arguments_are_bound_by_place_and_name() -> None:
    expected = {"path": "p", "text": "t"}
    assert WRITE.bind(["p", "t"]) == expected
    assert WRITE.bind(["p"], {"text": "t"}) == expected
    assert list(WRITE.bind([], {"text": "t", "path": "p"})) == ["path", "text"]


def test_a_default_fills_in() -> None:
    effect = replace(WRITE, parameters=(*WRITE.parameters, Parameter("mode", "int", "bits", 420)))
    assert effect.bind(["p", "t"])["mode"] == 420
    assert effect.bind(["p", "t"], {"mode": 7})["mode"] == 7
    assert effect.signature() == "write(path: str, text: str, mode: int = 420)"


def test_wrong_calls_say_how_it_is_called() -> None:
    called = "; it is called as write(path: str, text: str)"
    assert wrong(WRITE, "p") == "write is called without `text`" + called
    assert wrong(WRITE, "p", "t", "u") == "write takes 2 arguments, and 3 are given" + called
    assert wrong(WRITE, "p", path="q", text="t") == "write is given `path` twice" + called
    assert wrong(WRITE, "p", txt="t") == "write has no argument `txt`, did you mean `text`?" + called
    assert wrong(WRITE, "p", 7) == "write takes a str as `text`, not a value of type int" + called
    assert "takes 1 argument, and" in wrong(STANDARD["read"], "p", "t")


@pytest.mark.parametrize(
    ("wire", "name"),
    [
        (None, "NoneType"),
        (True, "bool"),
        (7, "int"),
        ({"int": "9" * 30}, "int"),
        (1.5, "float"),
        ({"float": "nan"}, "float"),
        ("x", "str"),
        ([], "list"),
        ({"dict": []}, "dict"),
        ({"struct": []}, "struct"),
        ({"tuple": []}, "tuple"),
    ],
)
def test_types_are_the_languages(wire: Wire, name: str) -> None:
    assert type_name(wire) == name
    accepting = {type_ for type_, accepts in TYPES.items() if accepts(wire)}
    numbers = {"float"} if name == "int" else set()
    optional = {type_ for type_ in TYPES if type_.endswith(" | None") and name in (type_[:-7], "NoneType")}
    assert accepting == {"any"} | numbers | optional | ({name} & set(TYPES))


def test_the_registry_is_a_mapping_that_offers_the_nearest_name() -> None:
    assert list(STANDARD) == sorted(STANDARD)
    assert {"append", "copy", "digest", "env", "glob", "input", "list_dir", "make_dir", "read"} <= set(STANDARD)
    assert len(STANDARD) == len(set(STANDARD))
    with pytest.raises(EffectFailure, match="no effect `wirte`, did you mean `write`") as caught:
        STANDARD.bind("wirte", ["p"])
    assert caught.value.kind == "error"
    effect, args = STANDARD.bind("read", ["p"])
    assert (effect.name, args) == ("read", {"path": "p"})


@pytest.mark.parametrize("parameter", [Parameter("retries", "int", ""), Parameter("x", "string", "")])
def test_a_wrongly_declared_effect_is_refused(parameter: Parameter) -> None:
    with pytest.raises(ValueError, match=r"^write: "):
        Registry([replace(WRITE, parameters=(parameter,))])


def test_two_effects_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two effects"):
        Registry([WRITE, WRITE])


def test_a_failure_is_a_value() -> None:
    failure = EffectFailure("no", details={"errno": "ENOENT", "sizes": [1, 2**70]}).to_failure("f", "a.flow:3")
    check(failure.to_wire())
    assert (failure.kind, failure.message, failure.flow, failure.source) == ("effect", "no", "f", "a.flow:3")
    pack(EffectFailure("no").to_failure().to_wire())


@pytest.mark.parametrize("name", STANDARD)
def test_an_effect_is_documented_and_wants_something(name: str) -> None:
    effect = STANDARD[name]
    assert effect.doc.endswith(".")
    assert all(parameter.doc for parameter in effect.parameters)
    if effect.parameters[0].name == "path":
        needed = [[] if parameter.type == "list" else "t" for parameter in effect.parameters[1:] if parameter.required]
        args = effect.bind(["sub/../x", *needed])
        (want,) = effect.want(args, EffectContext("k", "/base", name))
        assert want == Want(want.effect, "/base/x", name, name in ("list_dir", "make_dir"))


def test_messages_hold_no_control_characters() -> None:
    assert plain("a\x1b[31m\nb\udcff\u202e") == "a\\x1b[31m\\nb\\xff\\u202e"
