"""Programs that are hostile: each costs its own run, whatever it does; 1 to 34 of the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.built import CASES
from tests.hostile.case import Case, read_cases
from tests.hostile.conftest import Within


def marked(case: Case) -> object:
    slow = [pytest.mark.torture, pytest.mark.timeout(900)] if case.torture else []
    return pytest.param(case, id=case.name, marks=slow)


@pytest.mark.parametrize("case", [marked(case) for case in [*read_cases(), *CASES]])
def test_a_hostile_program_costs_its_own_run_only(within: Within, case: Case, tmp_path: Path) -> None:
    told = within(lambda yard: yard.attempt(case, tmp_path))
    assert told.verdict == case.expect, f"{told.verdict}: {told.message[:2_000]}"
    assert case.kind in ("", told.kind), told
    for text in case.says:
        assert text in told.message or text in told.shown, told
