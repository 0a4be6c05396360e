"""A package does no more than it said that it may need, whatever is granted to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmetal.cli.needs import Needs
from flowmetal.engine.ceilings import under_ceilings
from flowmetal.package_graph import Graph, Member
from flowmetal.permissions.decision import Allowed, Denied, Want, decide
from flowmetal.permissions.grants import GrantSet, parse_grants

PACKAGE = "pkg.example.org/v1/deploy"
OTHER = "pkg.example.org/v1/notify"


def member(package: str, permissions: tuple[str, ...]) -> Member:
    return Member(package, "1.0.0", "sha256:" + "0" * 64, "lib.flow", {}, (), permissions, {})


def grants(base: Path, *, ceiling: tuple[str, ...], given: tuple[str, ...], run: tuple[str, ...] = ()) -> GrantSet:
    """Grants of a run that loads two packages; ``given`` is granted to the first, all to the second."""
    allow_for = [*((PACKAGE, text) for text in given), *((OTHER, text) for text in ("write=.", "net=*:*"))]
    found = parse_grants(run or ("write=.", "net=*:*"), [], str(base), allow_for=allow_for)
    members = {PACKAGE: member(PACKAGE, ceiling), OTHER: member(OTHER, ("write=.", "net=*:*"))}
    return under_ceilings(found, Graph({}, members), str(base))


ROWS = [
    # the ceiling, what is granted to the package, the want, whether it is allowed, what a refusal says
    (("write=./out",), ("write=.",), "write=out/x", True, ""),
    (("write=./out",), ("write=.",), "write=x", False, "beyond the permissions of the package"),
    (("write=.",), (), "write=x", False, f"--allow-for {PACKAGE} write="),
    ((), ("write=.",), "write=x", False, "in its flowmetal.toml has nothing"),
    (("net=api.example.org",), ("net=*:*",), "net=api.example.org:443", True, ""),
    (("net=api.example.org",), ("net=*:*",), "net=evil.example.org:443", False, "net=api.example.org"),
    (("exec=a-program-that-nobody-has", "write=."), ("write=.",), "write=x", True, ""),
]


@pytest.mark.parametrize(("ceiling", "given", "wanted", "is_allowed", "says"), ROWS)
def test_both_must_allow(
    tmp_path: Path, ceiling: tuple[str, ...], given: tuple[str, ...], wanted: str, is_allowed: bool, says: str
) -> None:
    effect, _, resource = wanted.partition("=")
    want = Want(effect, str(tmp_path / resource) if effect == "write" else resource, effect)
    found = decide(grants(tmp_path, ceiling=ceiling, given=given), want, [f"{PACKAGE}//lib.flow"])
    assert isinstance(found, Allowed) == is_allowed, found
    if isinstance(found, Denied):
        assert says in found.message
        assert bool(found.option) == (says.startswith("--allow-for"))


def test_a_ceiling_holds_through_the_code_of_another(tmp_path: Path) -> None:
    set_ = grants(tmp_path, ceiling=("net=api.example.org",), given=("write=.", "net=*:*"))
    want = Want("write", str(tmp_path / "x"), "write")
    assert isinstance(decide(set_, want, [f"{OTHER}//lib.flow"]), Allowed)
    for stack in ([f"{OTHER}//lib.flow", f"{PACKAGE}//lib.flow"], [f"{PACKAGE}//lib.flow", f"{OTHER}//lib.flow"]):
        refused = decide(set_, want, stack)
        assert isinstance(refused, Denied)
        assert PACKAGE in refused.message
    assert isinstance(decide(set_, want, []), Allowed)
    # One that was not there when the run began may do nothing, whoever was granted something.
    stranger = "pkg.example.org/v1/stranger"
    more = set_.widen(parse_grants([], [], "/", allow_for=[(stranger, "write=/")]))
    assert isinstance(decide(more, want, [f"{stranger}//lib.flow"]), Denied)
    named = set_.widen(parse_grants([], [], str(tmp_path), allow_for=[("//x.flow", "write=.")]))
    assert isinstance(decide(named, want, ["//x.flow"]), Allowed)


def test_a_ceiling_grants_nothing_and_stays(tmp_path: Path) -> None:
    set_ = grants(tmp_path, ceiling=("write=.",), given=("write=.",), run=("read=.",))
    want = Want("write", str(tmp_path / "x"), "write")
    assert isinstance(decide(set_, want, [f"{PACKAGE}//lib.flow"]), Denied)
    assert GrantSet.from_data(set_.to_data()) == set_
    wider = set_.widen(under_ceilings(GrantSet(), Graph({}, {PACKAGE: member(PACKAGE, ("net=*:*",))}), "/"))
    assert dict(wider.ceilings)[PACKAGE] == dict(set_.ceilings)[PACKAGE]
    assert set_.digest() != grants(tmp_path, ceiling=(), given=("write=.",), run=("read=.",)).digest()


def test_a_plan_says_what_a_ceiling_closes(tmp_path: Path) -> None:
    needs = Needs()
    set_ = grants(tmp_path, ceiling=("write=./out",), given=())
    inside, outside = (Want("write", str(tmp_path / name), "write") for name in ("out/x", "x"))
    assert not isinstance(needs.decide(set_, [inside], [f"{PACKAGE}//lib.flow"]), Denied)
    assert isinstance(needs.decide(set_, [outside], [f"{PACKAGE}//lib.flow"]), Denied)
    assert [PACKAGE in message for message in needs.never] == [True]
    assert needs.options() == [f"--allow write={tmp_path}/out", f"--allow-for {PACKAGE} write={tmp_path}/out"]
