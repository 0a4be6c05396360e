"""Runs of their own end as they are to, whatever is killed between their caller's end and theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.testing.zygote import Life
from flowmetal.values import unpack
from tests.kill.points import (
    LIVES,
    Bench,
    Point,
    Undisturbed,
    bench,
    effects_in,
    engine_points,
    reading,
    sample,
    undisturbed,
)

FLOW = Path(__file__).parent / "own_runs.flow"
ENDS = {"own-cancel": "cancelled", "own-terminate": "cancelled", "own-abandon": "ok"}


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("own")) as made:
        yield made


@pytest.fixture(scope="module")
def calm(on: Bench) -> Undisturbed:
    return undisturbed(on, FLOW)


def wrong_with(on: Bench, calm: Undisturbed, point: Point) -> str:
    """What went wrong in a run with these deaths, after each run was resumed until it had ended; "" if nothing."""
    home, base = on.place("own")
    deaths = list(point.commits)
    for run_id in ("r", *ENDS):
        for _ in range(LIVES):
            commit, moment = deaths.pop(0) if deaths else (0, "before")
            death = on.live(Life(str(home), str(base), str(FLOW), run_id=run_id, fatal_commit=commit, moment=moment))
            if not death.signal:
                break
        if death.error:
            return f"{run_id}: {death.error}"
        if run_id == "r" and death.result != calm.result:
            return f"the result: {unpack(bytes.fromhex(death.result))}"
    with reading(home) as journal:
        ends = {each.run_id: each.status for each in journal.roots() if each.run_id != "r"}
        problems = list(journal.verify())
        with journal.store.view() as view:
            left = [*view.scan("mail"), *view.scan("meta", b"close", b"closf")]
    never = [line for line in effects_in(base) if "never" in line]
    return "" if (ends, problems, left, never) == (ENDS, [], [], []) else f"{ends} {problems} {left} {never}"


def check(on: Bench, calm: Undisturbed, points: list[Point]) -> None:
    found = {point: wrong_with(on, calm, point) for point in points}
    assert not {point: wrong for point, wrong in found.items() if wrong}


def test_an_engine_that_dies_leaves_none_behind(on: Bench, calm: Undisturbed) -> None:
    check(on, calm, sample(engine_points(calm), 5, "own"))


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_an_engine_that_dies_anywhere_leaves_none_behind(on: Bench, calm: Undisturbed) -> None:
    check(on, calm, engine_points(calm))
