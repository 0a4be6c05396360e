"""Invariant 1: killed anywhere, any number of times, a run ends as it does undisturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kill.points import (
    SEED,
    SHAPES,
    Bench,
    Point,
    Story,
    Undisturbed,
    bench,
    disturbed,
    engine_points,
    sample,
    undisturbed,
    worker_points,
)

SAMPLED_COMMITS = 8
SAMPLED_FRAMES = 10


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("kill")) as made:
        yield made


@pytest.fixture(scope="module")
def calm_runs(on: Bench) -> dict[Path, Undisturbed]:
    return {shape: undisturbed(on, shape) for shape in SHAPES}


def stem(shape: Path) -> str:
    return shape.stem


def check(on: Bench, calm: Undisturbed, points: list[Point]) -> None:
    wrong: list[Story] = on.all(lambda point: disturbed(on, calm, point), points)
    assert not wrong, f"{len(wrong)} of {len(points)} points\n\n" + "\n\n".join(story.tell() for story in wrong[:2])


@pytest.mark.parametrize("shape", SHAPES, ids=stem)
def test_engine_killed_at_commits(shape: Path, on: Bench, calm_runs: dict[Path, Undisturbed]) -> None:
    calm = calm_runs[shape]
    check(on, calm, sample(engine_points(calm), SAMPLED_COMMITS, shape.stem))


@pytest.mark.parametrize("shape", SHAPES, ids=stem)
def test_worker_killed_at_messages(shape: Path, on: Bench, calm_runs: dict[Path, Undisturbed]) -> None:
    calm = calm_runs[shape]
    check(on, calm, sample(worker_points(calm), SAMPLED_FRAMES, shape.stem))


@pytest.mark.parametrize("shape", SHAPES, ids=stem)
def test_killed_twice_in_a_row(shape: Path, on: Bench, calm_runs: dict[Path, Undisturbed]) -> None:
    calm = calm_runs[shape]
    check(on, calm, sample(pairs(calm, 200), 2, shape.stem))


def pairs(calm: Undisturbed, count: int) -> list[Point]:
    """Two engine deaths, an engine death after a worker's, or two worker deaths."""
    chooser = random.Random(f"{SEED} pairs {calm.shape.stem}")

    def commit() -> tuple[int, str]:
        return chooser.randint(1, calm.commits + 2), chooser.choice(["before", "after"])

    def frame() -> int:
        return chooser.randint(1, calm.frames)

    found = set()
    while len(found) < count:
        kind = len(found) % 3
        if kind == 0:
            found.add(Point(commits=(commit(), commit())))  # type: ignore[arg-type]
        elif kind == 1:
            found.add(Point(commits=(commit(),), frames=(frame(),)))  # type: ignore[arg-type]
        else:
            found.add(Point(frames=(frame(), frame() + 3)))
    return sorted(found)


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shape", SHAPES, ids=stem)
def test_engine_killed_at_every_commit(shape: Path, on: Bench, calm_runs: dict[Path, Undisturbed]) -> None:
    calm = calm_runs[shape]
    check(on, calm, engine_points(calm))


@pytest.mark.torture
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shape", SHAPES, ids=stem)
def test_worker_killed_at_every_message(shape: Path, on: Bench, calm_runs: dict[Path, Undisturbed]) -> None:
    calm = calm_runs[shape]
    check(on, calm, worker_points(calm))


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("shape", SHAPES, ids=stem)
def test_killed_twice_everywhere(shape: Path, on: Bench, calm_runs: dict[Path, Undisturbed]) -> None:
    calm = calm_runs[shape]
    check(on, calm, pairs(calm, 150))
