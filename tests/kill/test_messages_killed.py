"""Messages from outside, posted between and during lives of engines that are killed: in order, each once."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from flowmetal.journal import messages
from flowmetal.testing.harness import in_loop, make_lab, open_store
from flowmetal.testing.zygote import Life, zygote
from flowmetal.values import ok, pack, unpack
from tests.kill.points import SEED

COUNTING = """
def _main(fctx):
    return [unwrap(fctx.actions.receive("n")) for _ in range(TOTAL)] == list(range(TOTAL))

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


@pytest.mark.parametrize(
    ("total", "deaths"),
    [(240, 4), pytest.param(10_000, 60, marks=[pytest.mark.torture, pytest.mark.timeout(600)])],
)
def test_messages_from_outside_over_deaths(tmp_path: Path, total: int, deaths: int) -> None:
    """A slice of messages before each life; each life dies at one of its first commits, so that some are unread."""
    chooser = random.Random(SEED)
    lab = make_lab(tmp_path)
    flow = tmp_path / "count.flow"
    flow.write_text(COUNTING.replace("TOTAL", str(total)))

    async def begin() -> None:
        with lab.engine() as engine:
            await lab.start(engine, flow)
            while lab.journal.header("r.1") is None:
                await asyncio.sleep(0.005)

    in_loop(begin)
    slices = [range(total * at // (deaths + 1), total * (at + 1) // (deaths + 1)) for at in range(deaths + 1)]
    with zygote() as process:
        for at, numbers in enumerate(slices):
            for number in numbers:
                messages.send_signal(lab.store, "r.1", "n", pack(number))
            lab.store.close()
            fatal = chooser.randint(2, 4) if at < deaths else 0
            moment = chooser.choice(["before", "after"])
            death = process.live(
                Life(str(lab.home), str(lab.base), str(flow), fatal_commit=fatal, moment=moment, seconds=300.0)  # type: ignore[arg-type]
            )
            assert bool(death.signal) == bool(fatal), death
            lab.store = open_store(lab.home)
    assert unpack(bytes.fromhex(death.result)) == ok(True)
    events = lab.events("r.1")
    signals = [event for event in events if event.kind == "signal"]
    assert [unpack(event.fields["value"]) for event in signals] == list(range(total))
    read = [event.fields["read"] for event in events if event.kind == "result"]
    assert len(read) == total
    assert read == sorted(set(read)), "each was read once, in the order in which they came"
    with lab.store.view() as view:
        assert messages.waiting(view, "r.1") == messages.Waiting()
    assert list(lab.journal.verify()) == []
    lab.store.close()
