"""Programs made by chance out of everything that orchestrates, killed by chance: they end as they do undisturbed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from flowmetal.engine.upgrading import Upgrader, Verdict
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.testing.harness import in_loop, sources_of
from tests.kill.mixing import program
from tests.kill.points import SEED, Bench, Point, Story, bench, disturbed, undisturbed


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("mixed")) as made:
        yield made


def nothing(journal: Journal, flow: Path) -> None:
    """Nobody does anything while nobody drives the run."""


def paused(journal: Journal, flow: Path) -> None:
    """Someone pauses the run."""
    header = journal.header("r")
    if header is not None and not header.is_finished:
        journal.pause("r", "someone looks at it")


def upgraded(journal: Journal, flow: Path) -> None:
    """Someone lets the run go on with other code, which asks for the same."""
    if journal.header("r") is None:
        return
    flow.write_text(f"# {flow.stat().st_size}\n{flow.read_text()}")

    async def upgrade() -> Verdict:
        main, sources = sources_of(flow)
        (journal.home / "engines").mkdir(exist_ok=True)
        ownership.sweep(journal.home)
        identity = ownership.acquire(journal.home)
        upgrader = Upgrader(journal, identity, main, sources, str(flow))
        try:
            return await upgrader.upgrade("r")
        finally:
            upgrader.close()
            identity.release()

    verdict = in_loop(upgrade)
    assert verdict.status in ("moved", "ended"), verdict


def wrong_with(on: Bench, directory: Path, seed: str, disturbances: int, *, upgrades: bool = False) -> list[Story]:
    """What went wrong in a program when it was disturbed so many times."""
    shape = directory / f"mixed-{seed}.flow"
    shape.write_text(program(seed))
    calm = undisturbed(on, shape)
    assert set(calm.effects.values()) <= {1}, "the grammar gives each effect a line of its own"
    chooser = random.Random(seed)
    stories = []
    for at in range(disturbances):
        commits = tuple(
            (chooser.randint(1, calm.commits), chooser.choice(["before", "after"]))
            for _ in range(chooser.choice([0, 1, 1, 2, 3]))
        )
        frames = tuple(sorted(chooser.sample(range(1, calm.frames), chooser.choice([0, 1, 2]))))
        limits = {"hot_runs": chooser.choice([1, 2, 3, 128]), "inline_depth": chooser.choice([1, 4])}
        meanwhile = chooser.choice([nothing, nothing, paused, upgraded if upgrades else paused])
        flow = directory / f"mixed-{seed}-{at}.flow"
        shutil.copyfile(shape, flow)
        story = disturbed(
            on,
            replace(calm, shape=flow),
            Point(commits, frames),  # type: ignore[arg-type]
            limits=limits,
            between=partial(meanwhile, flow=flow),
        )
        if story.wrong:
            story.wrong.append(f"limits {limits}, {meanwhile.__name__} between lives; {flow}")
            stories.append(story)
    return stories


def check(on: Bench, directory: Path, seeds: list[str], disturbances: int, *, upgrades: bool = False) -> None:
    wrong = [story for seed in seeds for story in wrong_with(on, directory, seed, disturbances, upgrades=upgrades)]
    assert not wrong, f"{len(wrong)} went wrong\n\n" + "\n\n".join(story.tell() for story in wrong[:2])


@pytest.mark.parametrize("number", range(3))
def test_a_mixture_ends_as_undisturbed(number: int, on: Bench, tmp_path: Path) -> None:
    check(on, tmp_path, [f"{SEED}-{number}"], 3)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("number", range(10))
def test_many_mixtures_end_as_undisturbed(number: int, on: Bench, tmp_path: Path) -> None:
    check(on, tmp_path, [f"{SEED}-{number}-{part}" for part in range(20)], 20, upgrades=True)
