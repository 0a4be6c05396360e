"""The digest of a tree of files, and which files may be one."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.packages.bounds import MAX_FILES
from flowmetal.packages.listing import ListedFile, Listing, listing_of, parse_listing

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_text_is_what_the_format_says() -> None:
    a, b = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"").hexdigest()
    listing = listing_of({"b/x.flow": b"", "a.flow": b"a", "B.flow": b"a"} | {"b-x": b"a"})
    assert listing.text == f"flowmetal-tree 1\n{a} 1 B.flow\n{a} 1 a.flow\n{a} 1 b-x\n{b} 0 b/x.flow\n"
    assert listing.digest == "sha256:" + hashlib.sha256(listing.text.encode()).hexdigest()
    assert parse_listing(listing.text) == listing


def test_a_digest_that_never_changes() -> None:
    digest = listing_of({"lib.flow": b"x = 1\n", "k8s/apply.flow": b"y = 2\n"}).digest
    assert digest == "sha256:6b24fda72ef6e6c38ec9b131d89b38b8015599a1b0d077ab000706c54f9d7053"


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["a/b", "A/c"], "differ in case only"),
        (["README", "Readme"], "differ in case only"),
        (["a", "a/b"], "is a file and a folder"),
        (["a/b", "a"], "is a file and a folder"),
        (["x", "X/y"], "differ in case only"),
        (["../a"], "no path in a package"),
        ([f"f{n}" for n in range(MAX_FILES + 1)], "more than 2,000 files"),
    ],
)
def test_files_that_cannot_lie_beside_each_other(paths: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        listing_of(dict.fromkeys(paths, b""))


def test_a_path_twice() -> None:
    with pytest.raises(UsageError, match="twice"):
        Listing((ListedFile("a", "0" * 64, 1), ListedFile("a", "1" * 64, 1)))


@pytest.mark.parametrize(
    "files",
    [{"a.flow": bytes(512 * 1024 + 1)}, {"a.bin": bytes((16 << 20) + 1)}, {"a": bytes(9 << 20), "b": bytes(9 << 20)}],
    ids=["flow", "file", "all"],
)
def test_files_that_are_too_large(files: dict[str, bytes]) -> None:
    with pytest.raises(UsageError, match="the limit is"):
        listing_of(files)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "flowmetal-tree 2\n",
        "flowmetal-tree 1",
        "flowmetal-tree 1\r\n",
        "flowmetal-tree 1\n\n",
        f"flowmetal-tree 1\n{'0' * 64} 1 a",
        f"flowmetal-tree 1\n{'0' * 64} 01 a\n",
        f"flowmetal-tree 1\n{'0' * 64} 1  a\n",
        f"flowmetal-tree 1\n{'0' * 63} 1 a\n",
        f"flowmetal-tree 1\n{'A' * 64} 1 a\n",
        f"flowmetal-tree 1\n{'0' * 64} 1 b\n{'0' * 64} 1 a\n",
        f"flowmetal-tree 1\n{'0' * 64} 1 a\n{'0' * 64} 1 a\n",
        f"flowmetal-tree 1\n{'0' * 64} 1 a\n\n",
    ],
)
def test_what_is_no_listing(text: str) -> None:
    with pytest.raises(UsageError):
        parse_listing(text)


@relaxed
@given(st.text(max_size=200) | st.text(max_size=100).map("flowmetal-tree 1\n".__add__))
def test_any_text_is_a_listing_or_an_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_listing(text).text == text
