"""``signal`` and ``state``: grants in which ``*`` stands for any characters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.permissions import Allowed, Denied, Want, decide, parse_grants
from flowmetal.permissions.matching import fits_glob


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_star_is_any_characters(pattern: str, text: str) -> None:
    plain = ".*".join(map(re.escape, pattern.split("*")))
    assert fits_glob(pattern, text) == (re.fullmatch(plain, text) is not None)


GRANTED = [
    ("signal=etl-01", "signal", "etl-01", True),
    ("signal=etl-01", "signal", "etl-01.3.12~2", True),
    ("signal=etl-01", "signal", "etl-012", False),
    ("signal=etl-01.3", "signal", "etl-01", False),
    ("signal=etl-*", "signal", "etl-99.1", True),
    ("signal=etl-*", "signal", "ETL-99", False),
    ("signal=*.1", "signal", "any.1", True),
    ("signal=*.1", "signal", "any.2", False),
    ("signal=*", "signal", "any", True),
    ("signal=*", "state", "any", False),
    ("state=counters/*", "state", "counters/a", True),
    ("state=counters/*", "state", "counters", False),
    ("state=counters", "state", "counters/a", False),
    ("state=*/total", "state", "a/b/total", True),
    ("state=*", "signal", "any", False),
]


@pytest.mark.parametrize(("grant", "effect", "resource", "is_allowed"), GRANTED)
def test_what_a_grant_is_for(grant: str, effect: str, resource: str, is_allowed: bool) -> None:
    decision = decide(parse_grants([grant], [], "/"), Want(effect, resource, effect))
    assert isinstance(decision, Allowed) is is_allowed
    if isinstance(decision, Denied):
        assert decision.option == f"--allow {effect}={resource}"
        assert decision.message.endswith(f"is not granted: add {decision.option}")


@pytest.mark.parametrize(("grant", "effect", "resource", "is_allowed"), GRANTED)
def test_a_denial_is_for_the_same(grant: str, effect: str, resource: str, is_allowed: bool) -> None:
    grants = parse_grants(["signal=*", "state=*"], [grant], "/")
    assert isinstance(decide(grants, Want(effect, resource, effect)), Denied) is is_allowed


def test_a_package_has_what_both_are_granted() -> None:
    grants = parse_grants(["state=a/*"], [], "/", allow_for=[("pkg.example.org/v1/p", "state=*/x")])
    modules = ["pkg.example.org/v1/p//p.flow"]
    assert isinstance(decide(grants, Want("state", "a/x", "state.get"), modules), Allowed)
    assert isinstance(decide(grants, Want("state", "a/y", "state.get"), modules), Denied)
    assert isinstance(decide(grants, Want("state", "b/x", "state.get"), modules), Denied)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("signal=a b", "is no run id"),
        ("signal=", "names no run"),
        ("signal=" + "x" * 401, "is no run id"),
        ("state=/x", "is no name of shared state"),
        ("state=a\nb", "is no name of shared state"),
        ("state=" + "x" * 201, "is no name of shared state"),
        ("stat=x", "there is no class of effects `stat`, did you mean `state`?"),
    ],
)
def test_what_is_no_grant(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_grants([text], [], "/")
    assert message in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(("effect", "resource"), [("signal", "*"), ("signal", "a*"), ("state", "a/*"), ("state", "")])
def test_nothing_wants_a_pattern(effect: str, resource: str) -> None:
    decision = decide(parse_grants(["signal=*", "state=*"], [], "/"), Want(effect, resource, effect))
    assert isinstance(decision, Denied)
