"""Which name is offered for one that is not there."""

from __future__ import annotations

import pytest

from flowmetal.errors import did_you_mean, nearest

OPTIONS = ["--json", "--all-matching", "--allow", "--dry-run", "--reason"]
FILES = ["typed.flow", "release.flow"]


@pytest.mark.parametrize(
    ("name", "candidates", "meant"),
    [
        ("--reson", OPTIONS, "--reason"),
        ("--version", ["--json"], None),  # like --json in no more than its hyphens
        ("--dry", OPTIONS, "--dry-run"),
        ("--all", ["--all-matching", "--reason"], "--all-matching"),
        ("--re", ["--reason", "--repeat"], None),
        ("relase.flow", FILES, "release.flow"),
        ("nope.flow", FILES, None),  # like typed.flow in no more than its ending
        ("Release", ["release"], "release"),
        ("x", [], None),
    ],
)
def test_the_nearest_name(name: str, candidates: list[str], meant: str | None) -> None:
    assert nearest(name, candidates) == meant
    assert did_you_mean(name, candidates) == (f", did you mean `{meant}`?" if meant else "")
