from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.permissions import Allowed, Denied, Grant, GrantSet, Want, decide, decide_all, parse_grants

PATHS = st.lists(st.sampled_from(["a", "b", "ab", "A", "c"]), min_size=1, max_size=4).map(
    lambda names: "/" + "/".join(names)
)
GRANTS = st.builds(Grant, st.sampled_from(["read", "write"]), PATHS)
SETS = st.builds(GrantSet, st.lists(GRANTS, max_size=4).map(tuple), st.lists(GRANTS, max_size=2).map(tuple))
WANTS = st.builds(Want, st.sampled_from(["read", "write"]), PATHS, st.just("read"), st.booleans())


def allow(*texts: str, deny: tuple[str, ...] = ()) -> GrantSet:
    return parse_grants(texts, deny, "/", lambda path: path)


def reading(path: str) -> Want:
    return Want("read", path, "read")


def test_nothing_is_granted_by_default() -> None:
    decision = decide(GrantSet(), reading("/data/in.csv"))
    assert isinstance(decision, Denied)
    assert decision.option == "--allow read=/data"
    assert decision.message == "read: reading /data/in.csv is not granted: add --allow read=/data"


def test_a_grant_covers_its_directory_and_nothing_beside_it() -> None:
    grants = allow("read=/data")
    assert isinstance(decide(grants, reading("/data/deep/in.csv")), Allowed)
    assert isinstance(decide(grants, reading("/data")), Allowed)
    assert isinstance(decide(grants, reading("/data2/in.csv")), Denied)
    assert isinstance(decide(grants, Want("write", "/data/x", "write")), Denied)


def test_writing_is_not_reading() -> None:
    decision = decide(allow("write=/data"), reading("/data/x"))
    assert isinstance(decision, Denied)
    assert decision.option == "--allow read=/data"


def test_a_directory_proposes_itself() -> None:
    decision = decide(GrantSet(), Want("read", "/data/in", "list_dir", is_directory=True))
    assert isinstance(decision, Denied)
    assert decision.option == "--allow read=/data/in"


def test_the_whole_machine_is_never_proposed() -> None:
    decision = decide(GrantSet(), reading("/passwords"))
    assert isinstance(decision, Denied)
    assert decision.option == "--allow read=/passwords"


def test_an_option_can_be_pasted_into_a_shell() -> None:
    decision = decide(GrantSet(), reading("/my data/$x/in.csv"))
    assert isinstance(decision, Denied)
    assert shlex.split(decision.option) == ["--allow", "read=/my data/$x"]


def test_deny_wins_over_a_narrower_allow() -> None:
    decision = decide(allow("read=/data/private/mine", deny=("read=/data/private",)), reading("/data/private/mine/x"))
    assert isinstance(decision, Denied)
    assert decision.option == ""
    assert "--deny read=/data/private" in decision.message


def test_denying_one_class_leaves_the_other() -> None:
    grants = allow("read=/data", "write=/data", deny=("write=/data/in",))
    assert isinstance(decide(grants, reading("/data/in/x")), Allowed)
    assert isinstance(decide(grants, Want("write", "/data/in/x", "write")), Denied)


@pytest.mark.parametrize("path", ["/proc/self/environ", "/sys/kernel", "/dev/fd/3", "/dev", "/proc"])
def test_the_kernels_views_are_denied_under_everything(path: str) -> None:
    decision = decide(allow("read=/", f"read={path}"), reading(path))
    assert isinstance(decision, Denied)
    assert decision.option == ""


def test_a_protected_directory_is_denied_under_everything() -> None:
    grants = allow("read=/", "read=/home/me/.flowmetal")
    decision = decide(grants, reading("/home/me/.flowmetal/journal/data.mdb"), protected=("/home/me/.flowmetal",))
    assert isinstance(decision, Denied)
    assert decision.option == ""
    assert isinstance(decide(grants, reading("/home/me/.flowmetal2"), protected=("/home/me/.flowmetal",)), Allowed)


def test_the_fences_travel_with_the_decision() -> None:
    grants = allow("read=/data", deny=("read=/data/private", "write=/data/in"))
    decision = decide(grants, reading("/data/x"), protected=("/home/me/.flowmetal",))
    assert isinstance(decision, Allowed)
    assert decision.fences == ("/proc", "/sys", "/dev", "/home/me/.flowmetal", "/data/private")


def test_the_widest_grant_is_taken() -> None:
    decision = decide(allow("read=/data/in", "read=/data"), reading("/data/in/x"))
    assert isinstance(decision, Allowed)
    assert decision.grant == Grant("read", "/data")


def test_a_grant_is_good_under_the_name_it_was_given() -> None:
    grants = GrantSet((Grant("read", "/private/tmp/x", "/tmp/x"),))
    decision = decide(grants, reading("/tmp/x/in"))
    assert isinstance(decision, Allowed)
    assert decision.named == "/tmp/x"
    direct = decide(grants, reading("/private/tmp/x/in"))
    assert isinstance(direct, Allowed)
    assert direct.named == "/private/tmp/x"


def test_a_denial_is_good_under_both_names() -> None:
    grants = GrantSet((Grant("read", "/"),), (Grant("read", "/private/tmp/x", "/tmp/x"),))
    assert isinstance(decide(grants, reading("/tmp/x/in")), Denied)
    assert isinstance(decide(grants, reading("/private/tmp/x/in")), Denied)


def test_folding_closes_as_well_as_opens() -> None:
    grants = allow("read=/Data", deny=("read=/Data/Private",))
    assert isinstance(decide(grants, reading("/data/x"), fold=True), Allowed)
    assert isinstance(decide(grants, reading("/data/PRIVATE/x"), fold=True), Denied)
    assert isinstance(decide(grants, reading("/data/x"), fold=False), Denied)


def test_one_refusal_refuses_all() -> None:
    grants = allow("read=/a")
    first, second = reading("/a/x"), reading("/b/x")
    allowed = decide_all(grants, [first, first])
    assert isinstance(allowed, tuple)
    assert [decision.want for decision in allowed] == [first, first]
    denied = decide_all(grants, [first, second])
    assert isinstance(denied, Denied)
    assert denied.want == second
    assert decide_all(grants, []) == ()


@given(SETS, WANTS)
def test_what_a_denial_proposes_helps(grants: GrantSet, want: Want) -> None:
    decision = decide(grants, want, fold=False)
    if isinstance(decision, Denied) and decision.option:
        flag, text = shlex.split(decision.option)
        assert flag == "--allow"
        assert isinstance(decide(grants.widen(allow(text)), want, fold=False), Allowed)


@given(SETS, SETS, WANTS)
def test_more_allowed_never_denies_more(grants: GrantSet, more: GrantSet, want: Want) -> None:
    if isinstance(decide(grants, want, fold=False), Allowed):
        assert isinstance(decide(grants.widen(GrantSet(more.allow)), want, fold=False), Allowed)


@given(SETS, SETS, WANTS)
def test_more_denied_never_allows_more(grants: GrantSet, more: GrantSet, want: Want) -> None:
    if isinstance(decide(grants, want, fold=False), Denied):
        assert isinstance(decide(grants.widen(GrantSet((), more.deny)), want, fold=False), Denied)
