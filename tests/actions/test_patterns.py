"""Patterns of paths."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.actions.patterns import MAX_PATTERN, parse_pattern


def fits(pattern: str, path: str) -> bool:
    parsed = parse_pattern(pattern)
    positions = parsed.start
    for name in path.split("/"):
        positions = parsed.after(positions, name)
    return parsed.is_match(positions)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("a", ["a"], ["b", "aa", "a/a", "A"]),
        ("*", ["a", "a b", "*", "é", "a\nb"], [".a", "a/b"]),
        ("*.csv", ["a.csv", "a.b.csv"], [".csv", "a.csv.gz", "a/b.csv", "acsv"]),
        (".*", [".a", "..."], ["a"]),
        (".git/*", [".git/config"], [".git", ".git/.x"]),
        ("?", ["a", "日"], ["ab", ".", "e\u0301"]),
        ("a?c", ["abc", "a.c"], ["ac", "abbc"]),
        ("[abc]", ["a", "c"], ["d", "ab", "[abc]"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "-x"]),
        ("[!a-c]", ["d", "-"], ["a", "b", "."]),
        ("[^a]", ["b"], ["a"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[!]a]", ["b"], ["]", "a"]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[a-]", ["-", "a"], ["b"]),
        ("[[]", ["["], ["]"]),
        ("[*]", ["*"], ["a"]),
        ("[.]a", [], [".a"]),
        ("*a*b", ["ab", "xaxb", "aabab"], ["ba", "a", "abx"]),
        ("**", ["a", "a/b", "a/b/c"], [".a", "a/.b", ".a/b"]),
        ("**/*.c", ["x.c", "a/x.c", "a/b/x.c"], ["x.h", "a/x.h", ".a/x.c"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a/b/b"], ["a", "a/b/c", "b", "a/.x/b"]),
        ("**/a/**/b", ["a/b", "x/a/y/b", "a/a/b"], ["b", "a", "b/a"]),
        ("**/**/a", ["a", "x/a", "x/y/a"], ["x"]),
        ("*/*", ["a/b"], ["a", "a/b/c", "a/.b"]),
    ],
)
def test_what_a_pattern_means(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not fits(pattern, path)] == []
    assert [path for path in no if fits(pattern, path)] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "is empty"),
        ("/etc/*", "begins with a slash"),
        ("../*", "the part `..`"),
        ("a/../b", "the part `..`"),
        ("a//b", "the part ``"),
        ("a/", "the part ``"),
        ("./a", "the part `.`"),
        ("a**", "`**` is a part by itself"),
        ("a/**.c", "`**` is a part by itself"),
        ("***", "`**` is a part by itself"),
        ("[a", "a `[` without `]`"),
        ("[]", "a `[` without `]`"),
        ("[!]", "a `[` without `]`"),
        ("[a/b]", "a `[` without `]`"),
        ("[z-a]", "the range z-a, which is backwards"),
        ("a\0", "NUL"),
        ("a" * (MAX_PATTERN + 1), f"more than {MAX_PATTERN} characters"),
    ],
)
def test_what_is_no_pattern(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_pattern(pattern)


@given(st.text("ab*?", min_size=1, max_size=8), st.text("abc", min_size=1, max_size=10))
def test_one_name_against_regular_expressions(pattern: str, name: str) -> None:
    pattern = re.sub(r"\*+", "*", pattern)
    translated = "".join({"*": ".*", "?": "."}.get(char, char) for char in pattern)
    assert fits(pattern, name) == bool(re.fullmatch(translated, name))


@given(
    st.lists(st.sampled_from(["a", "b", "**", "*", "?b"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b", "ab", ".a"]), min_size=1, max_size=6),
)
def test_many_names_against_regular_expressions(parts: list[str], names: list[str]) -> None:
    if parts[-1] == "**":
        parts = [*parts, "*"]
    shapes = {"**": r"(?:(?!\.)[^/]+/)*", "*": r"(?!\.)[^/]+", "?b": r"(?!\.)[^/]b"}
    translated = "".join(shapes.get(part, part) + ("" if part == "**" else "/") for part in parts)
    assert fits("/".join(parts), "/".join(names)) == bool(re.fullmatch(translated, "/".join(names) + "/"))


def test_no_pattern_is_a_bomb() -> None:
    """With backtracking these would take longer than there is time."""
    assert not fits("*a" * 60 + "c", "a" * 255)
    assert not fits("*" + "?*" * 100 + "c", "a" * 255)
    bomb = "/".join(["**", "a"] * 50)
    assert not fits(bomb, "/".join(["a"] * 49))
    assert fits(bomb, "/".join(["a"] * 50))
