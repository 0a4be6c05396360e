"""The lock: sorted blocks that merge."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.packages.lock import Lock, Locked, lock_text, read_lock
from flowmetal.packages.versions import Version

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ONE = Locked("pkg.example.org/v1/b", Version(1, 4, 2), f"sha256:{'b' * 64}", ("net=api.example.org:443", 'read=./a"b'))
OTHER = Locked("pkg.example.org/v1/a", Version(1, 0, 0), f"sha256:{'a' * 64}")

TEXT = f"""\
# Written by flowmetal, to be committed: which bytes each package is.

[[package]]
id = "pkg.example.org/v1/a"
version = "1.0.0"
tree = "sha256:{"a" * 64}"
permissions = []

[[package]]
id = "pkg.example.org/v1/b"
version = "1.4.2"
tree = "sha256:{"b" * 64}"
permissions = ["net=api.example.org:443", "read=./a\\"b"]
"""


def test_the_text_of_a_lock() -> None:
    assert lock_text(Lock((ONE, OTHER))) == TEXT
    assert read_lock(TEXT, "x") == Lock((OTHER, ONE))
    assert Lock((ONE, OTHER)).find(ONE.id) is ONE
    assert Lock((OTHER,)).find(ONE.id) is None


def test_who_add_different_packages_merge(tmp_path: Path) -> None:
    names = {"base": "cmx", "mine": "acmx", "theirs": "cmxz", "both": "acmxz"}
    for name, letters in names.items():
        packages = [Locked(f"a.org/{each}", Version(1, 0, 0), f"sha256:{'0' * 64}") for each in letters]
        (tmp_path / name).write_text(lock_text(Lock(tuple(packages))), encoding="utf-8")
    merged = subprocess.run(
        ["git", "merge-file", "-p", "mine", "base", "theirs"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert merged.stdout == (tmp_path / "both").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT + TEXT[TEXT.index("[[") :], "is locked twice"),
        (TEXT.replace("[[package]]", "[package]"), "not TOML"),
        ("[package]\n", "not a list of blocks"),
        (TEXT.replace("tree", "digest"), "no key `digest`"),
        (TEXT.replace("tree", "#"), "no `tree`"),
        (TEXT.replace("sha256:", "sha512:"), "tree is not"),
        (TEXT.replace("1.4.2", "2.0.0"), "is the line v1"),
        (TEXT.replace("net=", "nets="), "no class of effects"),
        (TEXT.replace("# Written", "<<<<<<< HEAD\n# Written"), "a merge that was not finished"),
        ("more = 1\n", "no key `more`"),
    ],
)
def test_what_is_no_lock(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_lock(text, "dir/flowmetal.lock")
    assert said in error.value.message
    assert error.value.place == "dir/flowmetal.lock"


@relaxed
@given(st.text(max_size=60) | st.text(max_size=40).map("[[package]]\n".__add__))
def test_any_text_is_a_lock_or_an_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(read_lock(text, "x"), Lock)
