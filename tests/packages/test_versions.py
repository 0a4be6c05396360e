"""Versions are SemVer's, with one text for each."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowmetal.errors import UsageError
from flowmetal.packages.versions import Version

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# The chain of the specification's section 11, with what is about it.
IN_ORDER = [
    "0.0.0",
    "0.9.10",
    "0.10.9",
    "1.0.0-0",
    "1.0.0-9",
    "1.0.0-10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1-0",
    "2.0.0",
    "10.0.0",
]


def test_they_are_ordered_as_the_specification_orders_them() -> None:
    versions = [Version.parse(text) for text in IN_ORDER]
    for (low, one), (high, other) in itertools.product(enumerate(versions), repeat=2):
        assert (one < other, one == other, one > other) == (low < high, low == high, low > high), (one, other)


@pytest.mark.parametrize(
    ("text", "help_"),
    [
        ("", "three numbers"),
        ("1", "three numbers"),
        ("01.2.3", "three numbers"),
        ("1.2.3-", "three numbers"),
        ("1.2.3-01", "three numbers"),
        ("1.2.3-a..b", "three numbers"),
        ("1.2.3.4", "three numbers"),
        ("-1.2.3", "three numbers"),
        ("1.2.3\n", "three numbers"),
        ("١.2.3", "three numbers"),
        ("9999999999.0.0", "three numbers"),
        ("1.2.3-" + "a" * 80, "three numbers"),
        ("1.2", "write 1.2.0"),
        ("v1.2.3", "write 1.2.3"),
        ("^1.2.3", "write 1.2.3"),
        (">=1.2.3", "write 1.2.3"),
        ("1.2.3+linux", "write 1.2.3"),
    ],
)
def test_what_is_no_version_is_refused(text: str, help_: str) -> None:
    with pytest.raises(UsageError) as error:
        Version.parse(text)
    assert help_ in error.value.remedy


_WORD = st.from_regex(r"[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,4}", fullmatch=True)
_PART = st.one_of(st.integers(0, 10**9 - 1).map(str), _WORD)


@relaxed
@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 999), st.lists(_PART, max_size=3))
def test_text_and_version_are_one(major: int, minor: int, patch: int, prerelease: list[str]) -> None:
    version = Version(major, minor, patch, tuple(prerelease))
    assert Version.parse(str(version)) == version
