"""What a worker says: 51 and 53 of the list, and whatever chance makes of valid messages.

Beside the worker that lies there is another that does not; its run must end well.  A fault of ours shows as an
``InternalError``, damage to the journal in what ``verify`` says.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgpack
import pytest

from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.starting import RunRequest
from flowmetal.errors import InternalError, JournalError
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.settings import Limits
from flowmetal.testing.harness import NO_ARGS, Lab, TextSources, in_loop, make_lab
from tests.hostile.mutation import NO_CALL, NONE, Message, hostile_bytes, script
from tests.hostile.puppets import HONEST, OK_42, Loaded, Play, Puppets
from tests.hostile.yard import Yard

SEED: Final = int(os.environ.get("FLOWMETAL_SEED", "1"))
EXAMPLES: Final = 50
PROGRAMS: Final = {
    "//main.flow": 'load("./lib.flow", "x")\n\ndef _work(fctx):\n    return 1\n\nwork = flow(_work)\n',
    HONEST: "def _work(fctx):\n    return 42\n\nbeside = flow(_work)\n",
}
MODULES: Final = {**PROGRAMS, "//lib.flow": "x = 1\n"}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    """What real workers say of both programs."""
    lab = make_lab(tmp_path_factory.mktemp("real"), MemoryStore())

    async def life() -> list[Loaded]:
        with lab.engine() as engine:
            loaded = [await engine.load(main, TextSources(MODULES), Limits()) for main in PROGRAMS]
            return [Loaded(each.main, [it.to_data() for it in each.flows.values()], each.labels) for each in loaded]

    return in_loop(life)


async def begin(lab: Lab, engine: Engine, main: str, run_id: str) -> None:
    program = await engine.load(main, TextSources(MODULES), Limits(evaluation_seconds=30))
    (flow,) = program.flows
    engine.begin(program, RunRequest(run_id, flow, "x", NO_ARGS, lab.grants(), str(lab.base)))


def live(directory: Path, programs: list[Loaded], play: Play) -> tuple[Outcome, Puppets, Lab]:
    """One run on puppets, beside two that are honest; all that must hold whatever was said."""
    lab = make_lab(directory, MemoryStore())
    lab.spawn = puppets = Puppets(programs, play)

    async def life() -> Outcome:
        with lab.engine() as engine:
            await begin(lab, engine, HONEST, "beside0")
            await begin(lab, engine, "//main.flow", "r")
            outcome = await end_of(engine)
            await begin(lab, engine, HONEST, "beside1")
            for name in ("beside0", "beside1"):
                other = await asyncio.wait_for(engine.outcome(name), 60)
                assert other.error is None, other.error.show()
                assert other.value == OK_42
            yard = Yard(lab, engine)
            yard.told(outcome)
            for descendant in list(lab.journal.descendants("r")):
                yard.told(Outcome(descendant, NONE))
            await engine.stop()
            return outcome

    outcome = in_loop(life)
    assert not isinstance(outcome.error, (InternalError, JournalError)), outcome.error.show()
    assert list(lab.journal.verify()) == []
    return outcome, puppets, lab


async def end_of(engine: Engine) -> Outcome:
    """The run's end; one that was made to sleep for years is cancelled."""
    try:
        return await asyncio.wait_for(asyncio.shield(ending := asyncio.ensure_future(engine.outcome("r"))), 1)
    except TimeoutError:
        engine.cancel("r", "it sleeps")
        return await asyncio.wait_for(ending, 60)


def fuzz(directory: Path, programs: list[Loaded], seed: str) -> None:
    chooser = random.Random(seed)
    lives = 0

    def play(run: str, incarnation: int, last: int) -> bytes:
        nonlocal lives
        lives += 1
        return hostile_bytes(chooser, run, incarnation, last) if lives <= 6 else b""

    try:
        live(directory, programs, play)
    except BaseException:
        print(f"\nseed {seed!r}")
        raise


def test_an_engine_bears_anything_that_a_worker_says(programs: list[Loaded], tmp_path: Path) -> None:
    for number in range(EXAMPLES):
        fuzz(tmp_path / str(number), programs, f"{SEED} {number}")


@pytest.mark.torture
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(20))
def test_an_engine_bears_very_much(programs: list[Loaded], tmp_path: Path, part: int) -> None:
    for number in range(1_000):
        fuzz(tmp_path / str(number), programs, f"{SEED} torture {part} {number}")


def test_the_script_that_is_mutated_is_one_that_is_taken(programs: list[Loaded], tmp_path: Path) -> None:
    """Else all mutants would die at once of the same fault."""

    def play(run: str, incarnation: int, last: int) -> bytes:
        if run != "r" or last:
            return frame(["live", run, incarnation, []], ["done", run, incarnation, NONE])
        return frame(*script(run, incarnation, last)[:-1])

    _, puppets, lab = live(tmp_path, programs, play)
    assert not [reason for reason in puppets.reasons if "it sent" in reason], puppets.reasons
    kinds = {event.kind for event in lab.events()}
    assert {"action", "child", "log", "result"} <= kinds


def frame(*messages: Message) -> bytes:
    body = msgpack.packb(list(messages))
    return struct.pack(">I", len(body)) + body


def act(run: str, incarnation: int, number: int, callee: str, wire: Any, modules: Any = ()) -> Message:
    return ["act", run, incarnation, number, callee, msgpack.packb(wire), "main.flow:1", [], "name", list(modules)]


Claim = Callable[[str, int], Message]
STEAL: Final = [["/etc/passwd"], []]

REFUSED: Final[dict[str, tuple[Claim, str]]] = {
    "skipped_number": (lambda run, life: act(run, life, 7, "close", []), "action 7 of r, whose last action was 0"),
    "number_zero": (lambda run, life: act(run, life, 0, "close", []), "action 0 of r"),
    "number_of_2_to_63": (lambda run, life: act(run, life, 2**63, "close", []), "field 3 is not int"),
    "module_of_nobody": (
        lambda run, life: act(run, life, 1, "do read", STEAL, ["pkg.example.org/v1/x//a.flow"]),
        "none",
    ),
    "module_of_another": (lambda run, life: act(run, life, 1, "do read", STEAL, [HONEST]), "none of the program"),
    "module_no_text": (lambda run, life: act(run, life, 1, "do read", STEAL, [1]), "not texts"),
    "many_modules": (lambda run, life: act(run, life, 1, "do read", STEAL, ["//main.flow"] * 1_001), "call stack"),
    "flow_of_another": (
        lambda run, life: act(run, life, 1, f"run {HONEST}:beside", [[], []]),
        "no flow of the program",
    ),
    "child_of_another": (
        lambda run, life: ["child", run, life, 1, f"call {HONEST}:beside", NO_CALL, "x:1", NONE, "x"],
        "no flow of the program",
    ),
    "enter_of_another": (
        lambda run, life: ["enter", run, life, 1, f"call {HONEST}:beside", NO_CALL, "x:1", "x", NO_CALL, 1, []],
        "no flow of the program",
    ),
    "made_up_random": (lambda run, life: ["record", run, life, 1, "do read", NO_CALL, "x:1", NONE], "a record of"),
    "mismatch_types": (lambda run, life: ["mismatch", run, life, "1", "", "", "", ""], "field 3 is not int"),
    "hello_again": (lambda _run, _life: ["hello", {}, "L9", 9, ""], "greeting"),
}

IGNORED: Final[dict[str, Claim]] = {
    "run_of_another_program": lambda _run, life: ["done", "beside0", life, NONE],
    "action_of_another_program": lambda _run, life: act("beside0", life, 2, "do append", [["log.txt", "stolen"], []]),
    "cancel_of_another_program": lambda _run, life: act("beside0", life, 2, "cancel", [1]),
    "run_of_nobody": lambda _run, life: ["done", "nobody", life, NONE],
    "child_that_is_not_hot": lambda run, life: ["done", f"{run}.5", life, NONE],
    "old_life": lambda run, life: ["done", run, life - 1, NONE],
    "later_life": lambda run, life: ["done", run, life + 1, NONE],
}


def claiming(claim: Claim, *after: Claim) -> Play:
    return lambda run, life, _last: frame(
        ["live", run, life, []], claim(run, life), *(each(run, life) for each in after)
    )


@pytest.mark.parametrize("name", REFUSED)
def test_a_claim_that_cannot_be_costs_the_worker_its_life(name: str, programs: list[Loaded], tmp_path: Path) -> None:
    claim, says = REFUSED[name]
    outcome, puppets, lab = live(tmp_path, programs, claiming(claim))
    assert [reason for reason in puppets.reasons if "it sent" in reason and says in reason], puppets.reasons
    assert outcome.header.status == "err"
    assert not [event for event in lab.events() if event.kind == "action"]
    assert not (lab.base / "log.txt").exists()


@pytest.mark.parametrize("name", IGNORED)
def test_a_claim_about_others_has_no_effect(name: str, programs: list[Loaded], tmp_path: Path) -> None:
    honest: Claim = lambda run, life: ["done", run, life, OK_42]  # noqa: E731
    outcome, _, lab = live(tmp_path, programs, claiming(IGNORED[name], honest))
    assert outcome.value == OK_42
    assert not (lab.base / "log.txt").exists()
    assert [event.kind for event in lab.events("beside0")] == ["started", "action", "timer_fired", "finished"]


def test_a_worker_that_leaves_out_its_modules_has_the_runs_grants_at_most(
    programs: list[Loaded], tmp_path: Path
) -> None:
    """The limit of what a package's own authority can hold: an interpreter that was taken over claims any stack."""
    (tmp_path / "base").mkdir()
    (tmp_path / "secret.txt").write_text("secret")

    def play(run: str, life: int, _last: int) -> bytes:
        outside = act(run, life, 1, "start read", [[str(tmp_path / "secret.txt")], []])
        return frame(["live", run, life, []], outside, act(run, life, 2, "sleep", [0.05]))

    _, _, lab = live(tmp_path, programs, play)
    (result,) = [each for each in lab.events() if each.kind == "result" and each.fields["number"] == 1]
    assert b"denied" in result.fields["value"]
    assert b"--allow read=" in result.fields["value"]
