from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.permissions.paths import absolute, below, contains, is_canonical, parts

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, max_size=5).map(lambda names: "/" + "/".join(names))


@pytest.mark.parametrize(
    ("directory", "path", "inside"),
    [
        ("/data", "/data", True),
        ("/data", "/data/x", True),
        ("/data", "/data2", False),
        ("/data", "/data2/x", False),
        ("/data", "/dat", False),
        ("/data/x", "/data", False),
        ("/", "/anything", True),
        ("/", "/", True),
    ],
)
def test_a_path_is_compared_name_by_name(directory: str, path: str, inside: bool) -> None:
    assert contains(directory, path, fold=False) is inside


@given(PATHS, st.lists(NAMES, max_size=4))
def test_what_is_below_a_directory_is_in_it(directory: str, names: list[str]) -> None:
    path = absolute("/".join(names), directory) if names else directory
    assert contains(directory, path, fold=False)
    assert contains(directory, path, fold=True)
    assert below(directory, path) == tuple(names)


@given(PATHS, PATHS)
def test_two_directories_that_hold_each_other_are_one(one: str, other: str) -> None:
    both = contains(one, other, fold=False) and contains(other, one, fold=False)
    assert both == (one == other)


@given(PATHS, NAMES)
def test_a_longer_name_is_another_name(directory: str, more: str) -> None:
    if directory != "/":
        assert not contains(directory, directory + more, fold=False)


@given(PATHS, PATHS)
def test_folding_only_makes_more_names_equal(one: str, other: str) -> None:
    assert contains(one, other, fold=True) or not contains(one, other, fold=False)


def test_folding_takes_case_and_composition_for_one() -> None:
    assert contains("/Caf\u00e9", "/CAFE\u0301/x", fold=True)
    assert not contains("/Caf\u00e9", "/CAFE\u0301/x", fold=False)
    assert contains("/Straße", "/STRASSE", fold=True)


@given(PATHS)
def test_folded_names_are_folded_for_good(path: str) -> None:
    once = "/" + "/".join(parts(path, fold=True))
    assert parts(once, fold=True) == parts(path, fold=True)
    assert len(parts(path, fold=True)) == len(parts(path, fold=False))


@pytest.mark.parametrize(
    ("path", "base", "result"),
    [
        ("x", "/a", "/a/x"),
        ("../x", "/a/b", "/a/x"),
        ("../../../x", "/a", "/x"),
        ("/x//y/./z/..", "/a", "/x/y"),
        ("//x", "/a", "/x"),
        (".", "/a", "/a"),
        ("x/", "/", "/x"),
    ],
)
def test_paths_become_absolute_by_their_text(path: str, base: str, result: str) -> None:
    assert absolute(path, base) == result
    assert is_canonical(result)


@pytest.mark.parametrize("path", ["", "x", "./x", "/x/", "/x/../y", "//x", "/a//b", "/a\0", "/."])
def test_what_is_not_canonical(path: str) -> None:
    assert not is_canonical(path)
