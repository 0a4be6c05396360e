"""Programs made by chance, killed by chance and then cancelled: all of it ends, and nothing is left of it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.journal import mail
from flowmetal.testing.zygote import Life
from tests.kill.mixing import program
from tests.kill.points import ALLOW, LIVES, SEED, Bench, bench, reading, told


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("cancelled")) as made:
        yield made


def wrong_with(on: Bench, flow: Path, seed: str) -> str:
    """What went wrong with a run that dies, is asked to end, and dies while it does; "" if nothing."""
    chooser = random.Random(seed)
    home, base = on.place("cancelled")
    limits = {"hot_runs": chooser.choice([2, 128])}
    deaths = [chooser.randint(5, 60), *(chooser.randint(1, 6) for _ in range(chooser.randint(0, 2)))]
    for at in range(LIVES):
        fatal = deaths[at] if at < len(deaths) else 0
        death = on.live(Life(str(home), str(base), str(flow), fatal_commit=fatal, limits=limits, allow=ALLOW))
        with reading(home) as journal:
            header = journal.header("r")
            if header is None or header.is_finished:
                break
            if at == 0:
                with journal.store.update() as update:
                    mail.put(update, "r", {"kind": "cancel", "reason": "enough", "now": False})
        if not death.signal:
            return f"it came to no end: {death}"
    with reading(home) as journal:
        runs = [*journal.roots(), *journal.descendants("r")]
        wrong = [
            f"{each.run_id} is {each.status}"
            for each in runs
            if not each.is_finished or each.ending not in ("", "failed")
        ]
        wrong += [f"the journal: {problem}" for problem in journal.verify()]
        with journal.store.view() as view:
            wrong += [f"left: {key!r}" for key, _ in view.scan("meta", b"held", b"hele")]
            wrong += [
                f"left: {message}" for _, _, message in journal.mail_for(["r"]) if message.get("kind") != "signal"
            ]
        # What has begun to be stuck has been cleaned up after, in full.
        for each in runs:
            if each.name == "stuck":
                asked = [event.fields for _, event in journal.history(each.run_id) if event.kind == "action"]
                left = sum(one["callee"].startswith("defer ") for one in asked)
                left -= sum(one["callee"].startswith("clean ") for one in asked)
                if left:
                    wrong.append(f"{left} cleanups of {each.run_id} were never run")
    return "" if not wrong else f"seed {seed}, deaths {deaths}, {limits}: {wrong}\n{told(home)}"


@pytest.mark.parametrize("count", [4, pytest.param(300, marks=[pytest.mark.torture, pytest.mark.timeout(1800)])])
def test_a_mixture_that_is_cancelled_leaves_nothing(on: Bench, tmp_path: Path, count: int) -> None:
    wrong = []
    for number in range(count):
        flow = tmp_path / f"mixed-{number}.flow"
        flow.write_text(program(f"{SEED} cancelled {number}"))
        wrong.append(wrong_with(on, flow, f"{SEED} {number}"))
    found = [each for each in wrong if each]
    assert not found, f"{len(found)} of {count}\n\n" + "\n\n".join(found[:2])
