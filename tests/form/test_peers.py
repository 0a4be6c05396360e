"""What ``./dev bench --peers`` installs and prints, as far as it goes without installing anything."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.peers.compare import REQUIREMENTS, Pair

CHECKOUT = Path(__file__).parents[2]


def test_one_package_is_installed_and_pinned() -> None:
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    assert [re.sub(r"\d+(\.\d+)+", "X", line) for line in lines] == ["dbos==X"]


def test_flowmetal_does_not_ask_for_it() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = [one for group in project["optional-dependencies"].values() for one in group]
    assert not [one for one in [*project["dependencies"], *optional] if "dbos" in one]


@pytest.mark.parametrize(
    ("pair", "times"),
    [
        (Pair("A", "rate", 300, 100, "/s"), 3),
        (Pair("E", "time", 0.5, 2, "s"), 4),
        (Pair("E", "slower", 2, 0.5, "s"), 0.25),
        (Pair("F", "count", 0, 1, ""), None),
    ],
    ids=lambda value: value.what if isinstance(value, Pair) else None,
)
def test_more_times_is_better_for_flowmetal(pair: Pair, times: float | None) -> None:
    assert pair.times_better == times
