"""Limits that the engine keeps: open actions, what a run writes to the journal."""

from __future__ import annotations

import asyncio

import pytest

from flowmetal.errors import QuotaError
from flowmetal.journal.framing import PREFIX_BYTES
from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, in_loop, value_of

MANY = """
nap = flow(lambda fctx, n: [fctx.actions.sleep("5ms"), n][1])

def _main(fctx):
    forever = fctx.actions.run(options(nap, name = "first"), 0)
    tasks = [fctx.actions.run(nap, n) for n in range(1, 60)]
    return [unwrap(r) for r in fctx.actions.wait(tasks)] + [unwrap(fctx.actions.wait(forever))]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def most_open(lab: Lab, run_id: str) -> int:
    """The largest number of tasks of a run that had no result at one time."""
    most = open_now = 0
    for event in lab.events(run_id):
        if event.kind == "action" and event.fields["callee"].startswith("run "):
            open_now += 1
        elif event.kind == "result":
            open_now -= 1
        most = max(most, open_now)
    return most


@pytest.mark.parametrize("hot_runs", [128, 3])
def test_one_more_action_waits_until_there_is_room(lab: Lab, hot_runs: int) -> None:
    lab.limits = Limits(open_actions=7, hot_runs=hot_runs)
    assert value_of(lab.run(MANY)) == [*range(1, 60), 0]
    assert most_open(lab, "r.1") == 7
    before = len(lab.events("r.1"))
    assert value_of(lab.resume()) == [*range(1, 60), 0]
    assert len(lab.events("r.1")) == before


WORDY = """
def _main(fctx):
    for n in range(100):
        unwrap(fctx.actions.append("log", "%d\\n" % n))
        fctx.actions.log("x" * 4000)
    return "done"

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def test_a_run_that_writes_too_much_is_paused_and_goes_on(lab: Lab) -> None:
    """Nothing is lost by it, and nothing is done twice; another run of the same engine does not notice."""
    lab.limits = Limits(journal_bytes_per_run=100_000)

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, WORDY)
            await lab.start(engine, MANY, "other")
            outcome = await asyncio.wait_for(engine.outcome("r"), 30)
            assert isinstance(outcome.error, QuotaError)
            assert "journal_bytes_per_run" in outcome.error.show()
            assert "flowmetal resume r --limit journal_bytes_per_run=200000" in outcome.error.show()
            assert value_of(await asyncio.wait_for(engine.outcome("other"), 30)) == [*range(1, 60), 0]

    in_loop(life)
    header = lab.journal.header("r")
    assert header is not None
    assert (header.status, header.owner) == ("paused", b"")
    done = (lab.base / "log").read_text().splitlines()
    assert 5 < len(done) < 40
    assert list(lab.journal.verify()) == []

    async def still_too_much() -> None:
        with lab.engine() as engine:
            engine.adopt("r")
            outcome = await asyncio.wait_for(engine.outcome("r"), 30)
            assert isinstance(outcome.error, QuotaError)

    in_loop(still_too_much)
    assert (lab.base / "log").read_text().splitlines() == done

    async def more() -> None:
        with lab.engine() as engine:
            engine.adopt("r", journal_bytes_per_run=1_000_000)
            assert value_of(await asyncio.wait_for(engine.outcome("r"), 30)) == "done"

    in_loop(more)
    assert (lab.base / "log").read_text().splitlines() == [str(n) for n in range(100)]


def test_what_a_tree_has_written_is_counted_alike_afterwards(lab: Lab) -> None:
    """An engine that takes a run up knows what it wrote before, children and large payloads included."""
    text = MANY.replace("return [unwrap(r)", 'fctx.actions.log("y", big = "z" * 30000)\n    return [unwrap(r)')
    written: list[int] = []

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            while lab.journal.last_number("r.1") < 60:
                await asyncio.sleep(0.005)
        # Closing has made durable what was still to be written.
        written.append(engine._ledger.writer.written[b"r"])

    in_loop(life)
    # What `Journal.begin` writes is no part of the engine's own count.
    (_, started), *_ = lab.journal.raw_history("r", 0, 1)
    assert lab.journal.tree_bytes("r") == written[0] + len(started) + PREFIX_BYTES
