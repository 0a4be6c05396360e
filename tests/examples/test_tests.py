"""What carries tests of its own passes them: an example, and a package of the prelude, cut off at every commit too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowmetal.cli.main import run

CHECKOUT = Path(__file__).absolute().parents[2]


@pytest.mark.parametrize(
    "arguments", [("examples", "prelude"), ("--crash-everywhere", "prelude/recovery/recovery_test.flow")]
)
def test_they_pass(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(CHECKOUT)
    assert run(["test", "--json", *arguments]) == 0
    *_, total = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert total["passed"] >= 3
