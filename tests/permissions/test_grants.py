from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.permissions import Grant, GrantSet, parse_grants

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
GRANTS = st.builds(Grant, st.sampled_from(["read", "write"]), PATHS, PATHS)
SETS = st.builds(GrantSet, st.lists(GRANTS, max_size=4).map(tuple), st.lists(GRANTS, max_size=3).map(tuple))


def same(path: str) -> str:
    return path


@given(SETS)
def test_a_set_survives_the_journal(grants: GrantSet) -> None:
    again = GrantSet.from_data(grants.to_data())
    assert again == grants
    assert again.digest() == grants.digest()


@given(st.lists(GRANTS, max_size=5), st.randoms())
def test_order_and_repeats_do_not_matter(grants: list[Grant], random: object) -> None:
    shuffled = grants * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert GrantSet(tuple(grants)).digest() == GrantSet(tuple(shuffled)).digest()


@given(SETS, SETS)
def test_widening_keeps_everything_of_both(one: GrantSet, other: GrantSet) -> None:
    both = one.widen(other)
    assert both == other.widen(one)
    assert set(both.allow) == {*one.allow, *other.allow}
    assert set(both.deny) == {*one.deny, *other.deny}
    assert (both.digest() == one.digest()) == (both == one)


@given(SETS)
def test_the_options_give_the_set_again(grants: GrantSet) -> None:
    plain = GrantSet(
        tuple(Grant(grant.effect, grant.resource) for grant in grants.allow),
        tuple(Grant(grant.effect, grant.resource) for grant in grants.deny),
    )
    allow = [text.removeprefix("--allow ") for text in plain.options() if text.startswith("--allow")]
    deny = [text.removeprefix("--deny ") for text in plain.options() if text.startswith("--deny")]
    assert parse_grants(allow, deny, "/", same) == plain


def test_directories_are_made_absolute_against_the_base() -> None:
    grants = parse_grants(["read=data", "write=../out", "read=/x/"], ["read=data/private"], "/home/ada/flows", same)
    assert [str(grant) for grant in grants.allow] == ["read=/home/ada/flows/data", "read=/x", "write=/home/ada/out"]
    assert [str(grant) for grant in grants.deny] == ["read=/home/ada/flows/data/private"]


def test_links_are_resolved_when_granting(tmp_path: Path) -> None:
    real = Path(os.path.realpath(tmp_path))
    (real / "real").mkdir()
    (real / "link").symlink_to("real")
    (grant,) = parse_grants(["read=link"], [], str(real)).allow
    assert grant == Grant("read", str(real / "real"), str(real / "link"))


def test_a_directory_may_be_made_later(tmp_path: Path) -> None:
    (grant,) = parse_grants(["write=later/out"], [], str(tmp_path)).allow
    assert grant.resource == os.path.realpath(tmp_path / "later" / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raed=./x", "no class of effects `raed`, did you mean `read`"),
        ("Write=./x", "no class of effects `Write`, did you mean `write`"),
        ("nett=x", "did you mean `net`"),
        ("zzz=x", "no class of effects `zzz`"),
        ("=x", "no class of effects ``"),
        ("net=example.org", "`net` is not available in this version"),
        ("exec=kubectl", "`exec` is not available in this version"),
        ("env=HOME", "`env` is not available in this version"),
        ("secret=A@b", "`secret` is not available in this version"),
        ("call=m", "`call` is not available in this version"),
        ("net", "`net` is not available in this version"),
        ("read", "names no directory"),
        ("read=", "names no directory"),
        ("./data", "names no directory"),
        ("read=~/x", "leaves `~` as it is"),
        ("read=a\0b", "not a path in UTF-8"),
        ("read=a\udcffb", "not a path in UTF-8"),
    ],
)
@pytest.mark.parametrize("denying", [False, True])
def test_a_wrong_option_says_what_is_wrong(text: str, message: str, denying: bool) -> None:
    with pytest.raises(UsageError) as caught:
        parse_grants([] if denying else [text], [text] if denying else [], "/work", same)
    assert message in caught.value.message
    caught.value.show().encode("utf-8")


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"allow": []},
        {"allow": [], "deny": [], "more": []},
        {"allow": {}, "deny": []},
        {"allow": [["read", "/x"]], "deny": []},
        {"allow": [["read", "/x", 3]], "deny": []},
        {"allow": [["read", "x", "x"]], "deny": []},
        {"allow": [["read", "/x/../y", "/y"]], "deny": []},
        {"allow": [["net", "/x", "/x"]], "deny": []},
        {"allow": ["read=/x"], "deny": []},
        {"allow": [], "deny": "x"},
    ],
)
def test_journal_bytes_that_are_no_grants_are_refused(data: object) -> None:
    with pytest.raises(UsageError):
        GrantSet.from_data(data)
