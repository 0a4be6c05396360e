"""Programs made by chance out of everything that orchestrates, killed by chance: they end as they do undisturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.journal.journal import Journal
from tests.kill.mixing import program
from tests.kill.points import SEED, Bench, Point, Story, bench, disturbed, undisturbed


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("mixed")) as made:
        yield made


def paused(journal: Journal) -> None:
    """Someone pauses the run while nobody drives it."""
    header = journal.header("r")
    if header is not None and not header.is_finished:
        journal.pause("r", "someone looks at it")


def wrong_with(on: Bench, directory: Path, seed: str, disturbances: int) -> list[Story]:
    """What went wrong in a program when it was disturbed so many times."""
    shape = directory / f"mixed-{seed}.flow"
    shape.write_text(program(seed))
    calm = undisturbed(on, shape)
    assert set(calm.effects.values()) <= {1}, "the grammar gives each effect a line of its own"
    chooser = random.Random(seed)
    stories = []
    for _ in range(disturbances):
        commits = tuple(
            (chooser.randint(1, calm.commits), chooser.choice(["before", "after"]))
            for _ in range(chooser.choice([0, 1, 1, 2, 3]))
        )
        frames = tuple(sorted(chooser.sample(range(1, calm.frames), chooser.choice([0, 1, 2]))))
        limits = {"hot_runs": chooser.choice([1, 2, 3, 128]), "inline_depth": chooser.choice([1, 4])}
        between = paused if chooser.random() < 0.3 else None
        story = disturbed(on, calm, Point(commits, frames), limits=limits, between=between)  # type: ignore[arg-type]
        if story.wrong:
            story.wrong.append(f"limits {limits}, paused between lives: {between is not None}; {shape}")
            stories.append(story)
    return stories


def check(on: Bench, directory: Path, seeds: list[str], disturbances: int) -> None:
    wrong = [story for seed in seeds for story in wrong_with(on, directory, seed, disturbances)]
    assert not wrong, f"{len(wrong)} went wrong\n\n" + "\n\n".join(story.tell() for story in wrong[:2])


@pytest.mark.parametrize("number", range(3))
def test_a_mixture_ends_as_undisturbed(number: int, on: Bench, tmp_path: Path) -> None:
    check(on, tmp_path, [f"{SEED}-{number}"], 3)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(10))
def test_many_mixtures_end_as_undisturbed(number: int, on: Bench, tmp_path: Path) -> None:
    check(on, tmp_path, [f"{SEED}-{number}-{part}" for part in range(20)], 20)
