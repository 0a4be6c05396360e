"""Each example of orchestration, killed anywhere and resumed: the result is that of a run that nobody disturbs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kill.points import Bench, bench, disturbed, engine_points, sample, undisturbed, worker_points

EXAMPLES = Path(__file__).absolute().parents[2] / "examples"

BODIES = {
    "intro": ("etl.flow", 'etl_workflow(wanted = "some")'),
    "cobra4": ("daily.flow", 'daily_etl("shaky")'),
    "wvlet": (
        "flows.flow",
        '[reliable_load(), resilient(down = ["primary"]), booking(), booking(full = "car"), payment(), payment()]',
    ),
    "ddeutil": (
        "patterns.flow",
        "[simple(), fan_out_fan_in(), circuit_breaker(healthy = False), robust(fails = 5), retry_pattern(), leased(),"
        " conditional(), complex(), dynamic()]",
    ),
    # What came of chance differs from run to run, and who was mailed does not.
    "coda": ("weekly.flow", "[unwrap(weekly()), sorted({it: 1 for it in mailed().splitlines()})][1]"),
}
"""The file of each example, and what is run of it."""


def written(example: str, directory: Path) -> Path:
    """A file beside the example's whose body is what is run of it."""
    file, body = BODIES[example]
    folder = directory / example
    shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("out"))
    text = (folder / file).read_text(encoding="utf-8").partition('if __name__ == "__flow__":')[0]
    mailed = 'mailed = lambda: unwrap(effects.read("out/mails.txt"))' if example == "coda" else ""
    main = folder / "killed.flow"
    guard = 'if __name__ == "__flow__":\n    main_of_all()\n'
    main.write_text(f"{text}\n{mailed}\nmain_of_all = flow(lambda fctx: {body})\n\n{guard}", encoding="utf-8")
    return main


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("examples"), ["out"]) as made:
        yield made


@pytest.mark.parametrize("example", BODIES)
def test_killed_somewhere(example: str, on: Bench, tmp_path: Path) -> None:
    check(on, written(example, tmp_path), commits=2, frames=2)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("example", BODIES)
def test_killed_everywhere(example: str, on: Bench, tmp_path: Path) -> None:
    check(on, written(example, tmp_path), commits=10_000, frames=10_000)


def check(on: Bench, main: Path, commits: int, frames: int) -> None:
    calm = undisturbed(on, main)
    points = sample(engine_points(calm), commits, main.parent.name) + sample(
        worker_points(calm), frames, main.parent.name
    )
    wrong = on.all(lambda point: disturbed(on, calm, point), points)
    assert not wrong, f"{len(wrong)} of {len(points)} points\n\n" + "\n\n".join(story.tell() for story in wrong[:2])
