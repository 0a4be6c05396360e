"""One run is driven by one engine; others act on it by mail."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.engine.engine import Outcome
from flowmetal.errors import HomeError, JournalError, QuotaError, ReplayMismatch, RunBusyError, StorageError
from flowmetal.journal import event_reading, events
from flowmetal.journal.headers import digest_of
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import event_key, events_range
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.store import Store, Update
from flowmetal.testing.harness import Lab, failure_of, in_loop, make_lab, open_store, value_of
from flowmetal.testing.zygote import Life, zygote

COUNTING = """
def _count(fctx):
    for i in range(20):
        unwrap(fctx.actions.append("log.txt", "%d\\n" % i))
        fctx.actions.sleep("5ms")
    return "counted"

count = flow(_count)

if __name__ == "__flow__":
    count()
"""

SLEEPING = """
def _nap(fctx):
    fctx.actions.sleep("1h")

def _main(fctx):
    unwrap(nap())

nap = flow(_nap)
main = flow(_main)

if __name__ == "__flow__":
    main()
"""


def interrupted(lab: Lab, text: str, run_id: str = "r", *, after_lines: int = 0, seconds: float = 0.0) -> None:
    """Starts a run and gives it up after so many effects of it, or after a while."""

    async def life() -> None:
        log = lab.base / "log.txt"
        wanted = after_lines + (len(log.read_text().splitlines()) if log.exists() else 0)
        with lab.engine() as engine:
            await lab.start(engine, text, run_id)
            await asyncio.sleep(seconds)
            while after_lines and (not log.exists() or len(log.read_text().splitlines()) < wanted):
                await asyncio.sleep(0.002)

    in_loop(life)


def test_two_engines_never_drive_the_same_run(tmp_path: Path) -> None:
    """Four processes want each of ten runs at the same time: each run is driven by one, and its effects happen once."""
    flow = tmp_path / "count.flow"
    flow.write_text(COUNTING)
    lab = make_lab(tmp_path)
    store = lab.store
    for number in range(10):
        interrupted(lab, COUNTING, f"run{number}")
    store.close()
    told: list[str] = []

    def want(run_ids: list[str]) -> None:
        with zygote() as process:
            for run_id in run_ids:
                death = process.live(Life(str(lab.home), str(lab.base), str(flow), run_id))
                told.append(death.error or "done")

    ids = [f"run{number}" for number in range(10)]
    threads = [threading.Thread(target=want, args=(ids,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 40
    assert all(text == "done" or " drives the run `" in text for text in told), told
    log = (lab.base / "log.txt").read_text().splitlines()
    lab.store = open_store(lab.home)
    # Who came too late may have left a run to another; what nobody finished is finished now.
    for run_id in ids:
        lab.resume(run_id)
        assert lab.journal.require(run_id).status == "ok"
    log = (lab.base / "log.txt").read_text().splitlines()
    lab.store.close()
    assert sorted(log) == sorted(10 * [str(i) for i in range(20)])


def test_a_second_engine_in_the_same_home_is_refused_the_run(lab: Lab) -> None:
    async def life() -> None:
        with lab.engine() as first, lab.engine() as second:
            await lab.start(first, SLEEPING)
            with pytest.raises(RunBusyError):
                second.adopt("r")
            first.cancel("r", "enough")
            await asyncio.wait_for(first.outcome("r"), 10)
            assert second.adopt("r").status == "cancelled"

    in_loop(life)


def test_cancelled_by_mail(lab: Lab) -> None:
    """Another process asks, while the engine commits all the time."""
    text = SLEEPING.replace('fctx.actions.sleep("1h")', 'for _ in range(100000):\n        fctx.actions.sleep("1ms")')

    async def life() -> object:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await asyncio.sleep(0.2)
            lab.journal.post("r", {"kind": "cancel", "reason": "a person asked"})
            return await asyncio.wait_for(engine.outcome("r"), 10)

    failure = failure_of(in_loop(life))  # type: ignore[arg-type]
    assert failure.kind == "cancelled"
    assert "a person asked" in failure.message
    assert lab.journal.mail_for(["r"]) == []
    assert {header.status for header in lab.journal.descendants("r")} == {"cancelled"}


def test_mail_that_waits_is_read_when_the_run_is_taken_up(lab: Lab) -> None:
    interrupted(lab, SLEEPING, seconds=0.1)
    lab.journal.post("r", {"kind": "cancel", "reason": "it waited"})
    assert failure_of(lab.resume(seconds=10)).kind == "cancelled"


@pytest.mark.parametrize("run_id", ["r.1", "r.1.1"])
def test_an_inline_child_cancelled_by_mail(lab: Lab, run_id: str) -> None:
    """Its callers wait for it on the same thread of the worker; they see that it was cancelled and go on."""
    text = """
def _nap(fctx):
    fctx.actions.sleep("1h")
    return "slept"

def _main(fctx):
    r = nap()
    unwrap(fctx.actions.append("log.txt", r.error.kind + "\\n"))
    return r.error.kind

nap = flow(_nap)
main = flow(_main)

if __name__ == "__flow__":
    r = main()
    print(r.value if r.ok else r.error.kind)
"""

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await asyncio.sleep(0.2)
            lab.journal.post(run_id, {"kind": "cancel"})
            await asyncio.wait_for(engine.outcome("r"), 10)

    in_loop(life)
    assert [event.fields["text"] for event in lab.events() if event.kind == "log"] == ["cancelled"]
    assert (lab.base / "log.txt").exists() == (run_id == "r.1.1")
    assert list(lab.journal.verify()) == []


def test_an_inline_child_cancelled_while_it_computes(lab: Lab) -> None:
    """Whatever its worker makes of it, all see the one result in the journal."""
    text = """
def _busy(fctx):
    random()
    total = 0
    for i in range(3000000):
        total += i
    return "done"

def _main(fctx):
    r = busy()
    unwrap(fctx.actions.append("log.txt", "%s\\n" % (r.value if r.ok else r.error.kind)))

busy = flow(_busy)
main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    for at in range(8):
        run_id = f"r{at}"

        async def life(run_id: str = run_id, at: int = at) -> None:
            with lab.engine() as engine:
                await lab.start(engine, text, run_id)
                while lab.journal.header(f"{run_id}.1.1") is None:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.005 * at)
                engine.cancel(f"{run_id}.1.1", "now")
                await asyncio.wait_for(engine.outcome(run_id), 20)

        in_loop(life)
        status = lab.journal.require(f"{run_id}.1.1").status
        assert (lab.base / "log.txt").read_text().splitlines()[at] == {"ok": "done"}.get(status, status)
        assert value_of(lab.resume(run_id)) is None


def altered(lab: Lab, old: str, new: str) -> None:
    """Pins the run to other code: the module's text, its digest and the run's first event and header are changed."""
    with lab.store.update() as update:
        key, data = next(update.scan("events", *events_range("r", 0)))
        event = event_reading.decode(data)
        program = []
        for label, digest in event.fields["program"]:
            if label == "//main.flow":
                text = update.get("code", bytes.fromhex(digest))
                assert text is not None
                assert old.encode() in text
                changed = text.replace(old.encode(), new.encode())
                digest = digest_of(changed)
                update.put("code", bytes.fromhex(digest), changed)
            program.append((label, digest))
        fields = dict(event.fields)
        facts = events.RootFacts(
            **{name: fields[name] for name in ("main", "limits", "grants", "base_dir", "nonce", "versions", "labels")},
            program=program,
        )
        update.delete("events", key)
        started = events.started(event.at_ms, fields["flow"], fields["name"], fields["args"], root=facts)
        update.put("events", event_key(b"r", 1), started)


CHANGES = [
    ('fctx.actions.append("log.txt", "%d\\n" % i)', 'fctx.actions.append("log.txt", "%d!\\n" % i)'),
    ('fctx.actions.sleep("5ms")', 'fctx.actions.sleep("6ms")'),
    ("        fctx.actions.sleep", "        random()\n        fctx.actions.sleep"),
    ("range(20)", "range(1)"),
    ("range(20)", "[0, 1.0]"),
    ("    for i in range(20)", "    fail('at once')\n    for i in range(20)"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES, ids=[str(at) for at in range(len(CHANGES))])
def test_code_that_differs_from_the_history_is_a_mismatch(lab: Lab, old: str, new: str) -> None:
    interrupted(lab, COUNTING, after_lines=4)
    altered(lab, old, new)
    before = {run_id: lab.events(run_id) for run_id in ("r", "r.1")}
    log = (lab.base / "log.txt").read_text()
    assert 2 < len(before["r.1"]) < 60
    outcome = lab.resume(seconds=20)
    assert isinstance(outcome.error, ReplayMismatch), outcome
    assert "recorded" in outcome.error.excerpt
    assert "main.flow:" in outcome.error.show()
    for run_id, known in before.items():
        # A sleep may have ended meanwhile, which is no doing of the flow.
        now = lab.events(run_id)
        assert now[: len(known)] == known
        assert {event.kind for event in now[len(known) :]} <= {"timer_fired"}
    assert (lab.base / "log.txt").read_text() == log
    assert lab.journal.require("r").owner == b""
    assert not lab.journal.require("r").is_finished


def test_a_damaged_event_stops_its_own_run(lab: Lab) -> None:
    interrupted(lab, COUNTING, "r", after_lines=4)
    interrupted(lab, COUNTING, "other", after_lines=4)
    with lab.store.update() as update:
        found = list(update.scan("events", *events_range("r.1", 0)))
        key, data = found[3]
        update.put("events", key, data[:-1] + bytes([data[-1] ^ 1]))

    async def life() -> list[object]:
        with lab.engine() as engine:
            engine.adopt("r")
            engine.adopt("other")
            return [await asyncio.wait_for(engine.outcome(run_id), 20) for run_id in ("r", "other")]

    damaged, other = in_loop(life)
    assert isinstance(damaged.error, JournalError)  # type: ignore[attr-defined]
    assert "r.1" in damaged.error.place  # type: ignore[attr-defined]
    assert value_of(other) == "counted"  # type: ignore[arg-type]


def test_code_that_is_damaged_leaves_the_run_free(lab: Lab) -> None:
    interrupted(lab, COUNTING, after_lines=4)
    with lab.store.update() as update:
        for key, text in list(update.scan("code")):
            update.put("code", key, text + b"#")

    async def life() -> None:
        with lab.engine() as engine:
            with pytest.raises(JournalError):
                engine.adopt("r")
            assert lab.journal.require("r").owner == b""

    in_loop(life)


class Pinched:
    """A journal whose quota can be changed between two lives."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def with_quota(self, quota_bytes: int) -> Store:
        self._lab.store.close()
        self._lab.store = LmdbStore(self._lab.home / "journal", durability="os", quota_bytes=quota_bytes)
        return self._lab.store


def test_a_full_quota_stops_runs_and_room_lets_them_go_on(lab: Lab) -> None:
    text = COUNTING.replace('"%d\\n" % i', '"%d %s\\n" % (i, "x" * 20000)')
    pinched = Pinched(lab)
    used = pinched.with_quota(10 << 20).size_bytes()
    pinched.with_quota(used + 300_000)
    outcome = lab.run(text)
    assert isinstance(outcome.error, QuotaError)
    assert "gc" in outcome.error.remedy
    pinched.with_quota(10 << 20)
    assert value_of(lab.resume()) == "counted"
    numbers = [line.split(" ")[0] for line in (lab.base / "log.txt").read_text().splitlines()]
    assert sorted(set(numbers), key=int) == [str(i) for i in range(20)]
    assert len(numbers) <= 21
    assert list(Journal(lab.store, lab.home, lab.clock).verify()) == []


async def lines_of(lab: Lab, count: int) -> None:
    log = lab.base / "log.txt"
    while not log.exists() or len(log.read_text().splitlines()) < count:
        await asyncio.sleep(0.002)


def test_an_engine_whose_lock_file_is_gone_gives_way(lab: Lab) -> None:
    """Another takes its run up at once; the first writes nothing more and begins nothing more."""

    async def life() -> tuple[Outcome, Outcome, str]:
        with lab.engine() as first:
            await lab.start(first, COUNTING)
            await lines_of(lab, 3)
            shutil.rmtree(lab.home / "engines")
            with lab.engine() as second:
                second.adopt("r")
                lost = await asyncio.wait_for(first.outcome("r"), 20)
                went_on = await asyncio.wait_for(second.outcome("r"), 20)
                return lost, went_on, second.engine_id.hex()

    lost, went_on, second = in_loop(life)
    assert isinstance(lost.error, HomeError), lost
    assert "engines" in lost.error.place
    assert value_of(went_on) == "counted"
    log = (lab.base / "log.txt").read_text().splitlines()
    assert sorted(set(log), key=int) == [str(i) for i in range(20)]
    # One that was performed and not yet recorded as done may have been repeated, as after any death.
    assert len(log) <= 21
    assert lab.journal.require("r").owner.hex() in ("", second)
    assert list(lab.journal.verify()) == []


@pytest.mark.parametrize("text", [COUNTING, SLEEPING], ids=["busy", "asleep"])
def test_a_home_that_is_moved_stops_its_runs_and_they_go_on_when_it_is_back(lab: Lab, text: str) -> None:
    away = lab.base / "away"

    async def life() -> Outcome:
        with lab.engine() as engine:
            await lab.start(engine, text)
            await (lines_of(lab, 3) if text == COUNTING else asyncio.sleep(0.1))
            lab.home.rename(away)
            return await asyncio.wait_for(engine.outcome("r"), 20)

    outcome = in_loop(life)
    assert isinstance(outcome.error, HomeError)
    assert "moved, removed or replaced" in outcome.error.message
    away.rename(lab.home)
    if text == COUNTING:
        assert value_of(lab.resume()) == "counted"
    else:
        assert lab.journal.require("r").status != "ok"
        assert list(lab.journal.verify()) == []


def test_an_end_that_the_disk_refuses_is_told(lab: Lab) -> None:
    """The run is not driven any more when its end is to be written; who waits for it hears of the disk all the same."""
    full = StorageError("the disk refused")

    async def life() -> tuple[Outcome, list[str]]:
        with lab.engine() as engine:
            writer = engine._ledger.writer
            commit = writer.commit

            def refuse_the_end(work: Callable[[Update], None] | None = None) -> int:
                if not engine.owned:
                    raise full
                return commit(work)

            writer.commit = refuse_the_end  # type: ignore[method-assign]
            await lab.start(engine, 'if __name__ == "__flow__":\n    print(1)\n')
            return await asyncio.wait_for(engine.outcome("r"), 20), engine.owned

    outcome, owned = in_loop(life)
    assert (outcome.error, owned) == (full, [])
    assert not lab.journal.require("r").is_finished
    assert value_of(lab.resume()) is None


def test_an_engine_keeps_nothing_of_what_has_ended(lab: Lab) -> None:
    """Neither outcomes, nor programs with their workers, but for the last few; nobody asks for a detached run."""
    text = 'if __name__ == "__flow__":\n    print({})\n    start(kept)\n'
    child = "def _kept(fctx):\n    pass\n\nkept = flow(_kept)\n\n"
    for number in range(8):
        interrupted(lab, f'{child}if __name__ == "__flow__":\n    sleep("1ms")\n    print({number})\n', f"r{number}")
    interrupted(lab, child + text.format(9), "detaching")

    async def life() -> None:
        with lab.engine() as engine:
            for run_id in [*(f"r{number}" for number in range(8)), "detaching"]:
                if not engine.adopt(run_id).is_finished:
                    await asyncio.wait_for(engine.outcome(run_id), 20)
            await engine.idle()
            await asyncio.sleep(0)
            assert engine._awaited == {}
            while len(engine.worker_pids()) > 4:
                await asyncio.sleep(0.01)
            assert len(engine._programs._states) <= 4

    in_loop(life)
    assert list(lab.journal.verify()) == []
