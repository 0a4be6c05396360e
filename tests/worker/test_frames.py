"""A worker is hostile until checked: whatever it says costs it its life, and its runs are finished by another."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from flowmetal.engine.launching import launch
from flowmetal.engine.process import WorkerProcess
from flowmetal.settings import Limits
from flowmetal.testing.harness import Lab, in_loop, value_of
from flowmetal.testing.workers import Tapped, WorkerTap
from flowmetal.worker.protocol import MAX_FRAME, FrameError, FrameReader, check_message, encode_frame, encode_frames
from tests.worker.impostor import CASES, IGNORED

TEXT = """
def _nap(fctx):
    fctx.actions.sleep("20ms")

def _work(fctx, _after):
    unwrap(fctx.actions.append("log.txt", "worked\\n"))
    fctx.actions.sleep("5ms")
    return "finished"

def _other(fctx):
    unwrap(fctx.actions.append("log.txt", "other\\n"))
    fctx.actions.sleep("500ms")
    return "other"

nap = flow(_nap)
work = flow(_work)
others = flow(_other)

if __name__ == "__flow__":
    actions = current_flow().actions
    one = actions.run(others)
    # It begins while all others wait, so that nobody else is to blame for what its worker does: were the other awake
    # when the first worker dies, the impostor would be given that one, and say nothing of it.
    two = actions.run(work, actions.run(nap))
    print([unwrap(r) for r in actions.wait([one, two])])
"""


class WithImpostor(WorkerTap):
    """The first worker dies when it is given the run ``r.3``; the impostor comes next, then real ones again."""

    def __init__(self, case: str, loaded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self._case = case
        self._loaded = loaded
        self._monkeypatch = monkeypatch
        self.impostor: WorkerProcess | None = None
        self.reasons: list[str] = []

    def __call__(self, limits: Limits, on_messages: Any, on_end: Any, /) -> WorkerProcess:
        def ended(worker: WorkerProcess, reason: str) -> None:
            self.reasons.append(reason)
            on_end(worker, reason)

        if len(self.pids) != 1:
            return super().__call__(limits, on_messages, ended)
        real = subprocess.Popen

        def popen(args: list[str], **options: Any) -> Any:
            script = Path(__file__).with_name("impostor.py")
            descriptor = str(options["pass_fds"][0])
            return real([sys.executable, str(script), descriptor, self._case, str(self._loaded)], **options)

        with self._monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", popen)
            self.impostor = WorkerProcess(limits, on_messages, ended, launch(limits))
        self.pids.append(self.impostor.pid)
        return self.impostor

    def sent(self, worker: Tapped, message: list[Any]) -> bool:
        if message[0] == "start" and message[1] == "r.3" and len(self.pids) == 1:
            os.kill(worker.pid, signal.SIGKILL)
            return False
        return True


@pytest.mark.parametrize("case", [*CASES, *IGNORED])
def test_what_an_impostor_says_costs_its_life_only(
    lab: Lab, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.spawn = spawn = WithImpostor(case, tmp_path / "loaded", monkeypatch)

    async def life() -> Any:
        with lab.engine() as engine:
            capture = engine.load

            async def load(*args: Any) -> Any:
                program = await capture(*args)
                flows = [each.to_data() for each in program.flows.values()]
                (tmp_path / "loaded").write_bytes(msgpack.packb(["loaded", flows, program.labels]))
                return program

            engine.load = load  # type: ignore[method-assign]
            await lab.start(engine, TEXT)
            return await asyncio.wait_for(engine.outcome("r"), 60)

    assert value_of(in_loop(life)) is not None
    assert spawn.impostor is not None
    assert len(spawn.pids) >= 3
    if case in CASES:
        assert "it sent" in spawn.reasons[1], spawn.reasons
    assert [event.fields["text"] for event in lab.events() if event.kind == "log"] == ['["other", "finished"]']
    assert sorted((lab.base / "log.txt").read_text().splitlines()) == ["other", "worked"]
    assert list(lab.journal.verify()) == []


def test_frames_are_cut_anywhere() -> None:
    messages = [["done", "r", 1, b"x" * size] for size in (0, 1, 300, 70_000)]
    data = encode_frame(messages[:2]) + encode_frames(messages[2:])
    for step in (1, 3, 4, 5, 1_000, len(data)):
        reader = FrameReader()
        found: list[Any] = []
        for at in range(0, len(data), step) if step > 1 or len(data) < 100_000 else [0]:
            found += reader.feed(data[at : at + step])
        assert found == messages


def test_many_large_messages_are_divided() -> None:
    messages = [["result", "r", 1, number, b"x" * 1_000_000] for number in range(10)]
    data = encode_frames(messages)
    assert FrameReader().feed(data) == messages
    assert len(data) > 2 * MAX_FRAME


def test_one_message_that_is_too_large() -> None:
    with pytest.raises(FrameError, match="the limit is 4,194,304"):
        encode_frames([["result", b"x" * MAX_FRAME]])


KINDS = ["record", "child", "act", "enter", "log", "wait", "live", "done", "evicted", "mismatch"]


def fields() -> Iterator[Any]:
    yield from (None, True, -1, 2**60, 1.5, "text", b"bytes", [], [1], ["1"], [0], [True], {}, {"a": 1})


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_is_checked(kind: str) -> None:
    """Only messages whose fields all have one type can pass with one value in all of them."""
    for field in fields():
        for count in range(14):
            if count in (1, 2):
                continue
            with pytest.raises(FrameError, match=kind):
                check_message([kind, *([field] * count)])
