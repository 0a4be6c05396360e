"""Loading a program: what a worker may say meanwhile, and programs as large as they may be."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flowmetal.carried import prelude_directory
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.starting import RunRequest
from flowmetal.engine.supply import answer
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError, LanguageError
from flowmetal.language.labels import PRELUDE, PRELUDE_MAIN
from flowmetal.package_graph import Graph, Request
from flowmetal.settings import KIB, Limits
from flowmetal.sources import FileSources
from flowmetal.testing.harness import MAIN, NO_ARGS, Lab, TextSources, in_loop, value_of
from flowmetal.testing.workers import Tapped, WorkerTap
from flowmetal.worker.channel import Channel
from flowmetal.worker.session import Session

TEXT = 'if __name__ == "__flow__":\n    sleep("20ms")\n'

HOSTILE: dict[str, Any] = {
    "flows_none": ["loaded", [1, 2], []],
    "flow_short": ["loaded", [["//main.flow:x"]], []],
    "flow_types": ["loaded", [[1, 2, 3, 4, 5, 6, 7, 8]], []],
    "labels_unknown": ["loaded", [], ["//other.flow"]],
    "labels_types": ["loaded", [], [1, [2]]],
    "labels_missing": ["loaded", [], []],
    "invalid_short": ["invalid", []],
    "invalid_types": ["invalid", [1, [2], {}, None, b"", 5, 6]],
    "need_types": ["need", [1, None]],
    "need_above": ["need", ["//../../etc/passwd"]],
    "need_many": ["need", [f"//{n}.flow" for n in range(5_000)]],
    "hello_types": ["hello", {"a": [1], "b": {"c": 1}}],
    "action": ["done", "r", 1, b"\xc0"],
}


class Says(WorkerTap):
    """Puts a message in the place of the worker's ``loaded``."""

    def __init__(self, message: list[Any]) -> None:
        super().__init__()
        self._message = message

    def __call__(self, limits: Limits, on_messages: Any, on_end: Any, /) -> WorkerProcess:
        def instead(worker: WorkerProcess, messages: list[list[Any]]) -> None:
            on_messages(worker, [self._message if each[0] == "loaded" else each for each in messages])

        return super().__call__(limits, instead, on_end)


@pytest.mark.parametrize("case", HOSTILE)
def test_a_worker_that_lies_about_its_program(lab: Lab, case: str) -> None:
    lab.spawn = Says(HOSTILE[case])

    async def life() -> None:
        with lab.engine() as engine:
            lab.limits = Limits(evaluation_seconds=0.2)
            with pytest.raises(FlowmetalError):
                await asyncio.wait_for(lab.start(engine, TEXT), 10)

    in_loop(life)
    lab.spawn, lab.limits = WorkerProcess, Limits()
    assert value_of(lab.run(TEXT)) is None


class DiesAtStart(WorkerTap):
    """Kills the first worker when it is given a run, so that the program is loaded again from the engine's memory."""

    def sent(self, worker: Tapped, message: list[Any]) -> bool:
        if message[0] == "start" and len(self.pids) == 1:
            os.kill(worker.pid, signal.SIGKILL)
        return True


def test_a_program_larger_than_a_frame(lab: Lab) -> None:
    lab.spawn = taps = DiesAtStart()
    filler = "# " + "x" * 97 + "\n"
    modules = {f"//part{n}.flow": filler * (4 * KIB) + f"PART = {n}\n" for n in range(14)}
    loads = "".join(f'load("./part{n}.flow", part{n} = "PART")\n' for n in range(14))
    names = ", ".join(f"part{n}" for n in range(14))
    body = f'    fctx.actions.sleep("30ms")\n    return sum([{names}])\n'
    main = f'{loads}def _main(fctx):\n{body}\nmain = flow(_main)\nif __name__ == "__flow__":\n    main()\n'
    sources = TextSources({MAIN: main, **modules})
    assert sum(map(len, modules.values())) > 5 << 20

    async def life() -> Any:
        with lab.engine() as engine:
            program = await engine.load(MAIN, sources, lab.limits)
            engine.begin(program, RunRequest("r", "", "script", NO_ARGS, lab.grants(), str(lab.base)))
            return await asyncio.wait_for(engine.outcome("r"), 20)

    assert value_of(in_loop(life)) == sum(range(14))
    assert len(taps.pids) == 2


def test_a_module_that_is_missing_is_named(lab: Lab) -> None:
    with pytest.raises(LanguageError, match=r"gone\.flow"):
        lab.run('load("./gone.flow", "x")\n')


@pytest.mark.parametrize("changed", ["prelude.flow", "text.flow"])
def test_a_program_brings_the_prelude_that_it_is_evaluated_with(lab: Lab, tmp_path: Path, changed: str) -> None:
    """Workers have evaluated the one of today before they are asked: what differs, and what loads it, is done anew."""
    prelude = tmp_path / "prelude"
    shutil.copytree(prelude_directory(), prelude)
    text = (prelude / changed).read_text(encoding="utf-8")
    fill = 'def pad_left(text, width, fill = " "):\n    return "other " + text\n\n_pad_left = pad_left\n'
    if changed == "text.flow":
        text = re.sub(r"^def pad_left\(", "def _old_pad_left(", text, flags=re.MULTILINE) + "\n" + fill
    else:
        text = text.replace("pad_left = _pad_left\n", fill)
    (prelude / changed).write_text(text, encoding="utf-8")
    body = 'def _main(fctx):\n    return [pad_left("x", 3), pad_right("x", 3)]\n\nmain = flow(_main)\n'
    main = body + 'if __name__ == "__flow__":\n    main()\n'
    sources = TextSources({MAIN: main}, FileSources(prelude, prelude))

    async def life() -> Any:
        with lab.engine() as engine:
            program = await engine.load(MAIN, sources, lab.limits)
            engine.begin(program, RunRequest("r", "", "script", NO_ARGS, lab.grants(), str(lab.base)))
            return await asyncio.wait_for(engine.outcome("r"), 20)

    assert value_of(in_loop(life)) == ["other x", "x  "]


@pytest.mark.parametrize("text", ["", "f(", "x = 1 / 0", "f = 5\nf()", 'load("//gone.flow", "x")', "flow = 3"])
def test_a_prelude_that_is_broken_is_told_with_the_program_that_brings_it(text: str) -> None:
    """And not by the end of a worker that may be needed for a run with a prelude of its own."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = Session(Channel(theirs), Limits())
        session.prepare({PRELUDE_MAIN: text})
        session.prepare({})
        whole = {f"{PRELUDE}//{path.name}": path.read_text() for path in prelude_directory().glob("*.flow")}
        session.prepare(whole)


SPINNING = """
def spin():
    for a in range(100000):
        for b in range(100000):
            pass

spin()
"""


@pytest.mark.parametrize("text", [SPINNING, 'load("./lib.flow", "x")'])
def test_a_module_that_never_ends_is_told_the_limit(lab: Lab, text: str) -> None:
    """Also when it is one that the main file loads."""
    lab.limits = Limits(fuel_ticks=1_000_000)
    sources = TextSources({MAIN: text, "//lib.flow": SPINNING + "x = 1"})

    async def life() -> None:
        with lab.engine() as engine:
            with pytest.raises(
                LanguageError, match="compute for more than 1,000,000 steps while they are loaded"
            ) as caught:
                await engine.load(MAIN, sources, lab.limits)
            assert "fuel_ticks" in caught.value.remedy
            assert caught.value.place.startswith("main.flow" if text is SPINNING else "lib.flow")

    in_loop(life)


def test_a_module_that_takes_all_memory_is_told_so(lab: Lab) -> None:
    lab.limits = Limits(address_space_bytes=256 * 1024 * 1024)

    async def life() -> None:
        with lab.engine() as engine, pytest.raises(LanguageError, match="memory"):
            await engine.load(MAIN, TextSources({MAIN: "x = [[0] * 1000000 for i in range(1000)]"}), lab.limits)

    in_loop(life)


class Counting:
    """Packages that nobody gets; ``asked`` is what was asked for."""

    notices = ()

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    async def resolve(self, requests: Sequence[Request]) -> Graph:
        self.asked.append([request.package for request in requests])
        await asyncio.sleep(0)
        return Graph({}, {})


class Heard:
    """Stands for a worker; what it is sent."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []

    def send(self, message: list[Any]) -> None:
        self.sent.append(message)

    def flush(self) -> None:
        """Nothing is held back."""


@pytest.mark.parametrize(
    ("labels", "asked", "says"),
    [
        (["pkg.example.org/v1/x//"], [["pkg.example.org/v1/x"]], ""),
        ([f"pkg.example.org/v1/x{n}//" for n in range(300)], [], "more than 256 packages"),
        (["pkg.example.org/../x//"], [], "is not a label"),
        (["pkg.example.org/v1/x//", 1], [], "not among the pinned"),
        (["pkg.example.org/v1/x//", "//none.flow"], [], "there is no module //none.flow"),
    ],
)
def test_a_worker_that_asks_for_packages(labels: list[Any], asked: list[list[str]], says: str) -> None:
    packages, worker, program = Counting(), Heard(), ProgramState(MAIN, {}, Limits())

    async def life() -> None:
        for _ in range(3):  # it was not answered yet, and asks again
            answer(program, TextSources({MAIN: TEXT}, packages=packages), labels, worker)  # type: ignore[arg-type]
        if program.resolving is not None:
            await program.resolving

    asyncio.run(life())
    assert packages.asked == asked
    kind, texts, problem, rules = worker.sent[-1]
    assert (kind, texts) == ("sources", {})
    assert says in (problem[0] if problem else "")
    assert bool(rules) == (not says)
