"""One engine in which hostile programs run, and what must hold around each of them.

The bystander is a run of another program in the same engine.  It has actions before, during and after a case: it waits
for an answer which it gets when the case is over, so it lives as long as the case does, however long that is.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flowmetal.carried import prelude_directory
from flowmetal.cli.log_tree import print_tree
from flowmetal.cli.main import _show as show_error
from flowmetal.cli.outcomes import failure_lines
from flowmetal.engine.engine import Engine, Outcome
from flowmetal.engine.starting import RunRequest
from flowmetal.engine.table import ProgramState
from flowmetal.errors import FlowmetalError
from flowmetal.permissions.grants import GrantSet, parse_grants
from flowmetal.settings import MIB, Limits
from flowmetal.sources import locate
from flowmetal.testing.harness import NO_ARGS, Lab, TextSources
from flowmetal.values import failure_of, is_ok, unpack
from tests.hostile.case import MAIN, Case

STOP_SECONDS: Final = 600.0
"""Only so that a hanging case ends; nothing is said about speed."""

MOST_GROWTH_BYTES: Final = 96 * MIB
"""How much an engine may grow because of one case: some values of 1 MiB, some frames of 4 MiB, their copies."""

_LOOK_SECONDS: Final = 0.05
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_FAULT: Final = re.compile(r"the worker (was )?ended|MiB: keep less|seconds (of processor time )?without an action")

BYSTANDER: Final = """
def _step(fctx, n):
    unwrap(fctx.actions.append("beside.txt", "%d\\n" % n))
    fctx.actions.sleep("1ms")
    return n * n

step = flow(_step)

def _beside(fctx):
    before = [unwrap(it) for it in fctx.actions.wait([fctx.actions.run(step, n) for n in range(3)])]
    answer = unwrap(fctx.actions.input("go on?"))
    return before + [answer] + [unwrap(step(n)) for n in range(3, 5)]

beside = flow(_beside)
"""


@dataclass(frozen=True)
class Told:
    """How a case came out: the verdict, and what a person is told."""

    verdict: str
    message: str = ""
    kind: str = ""
    shown: str = ""
    value: Any = None


class Yard:
    """An engine on a lab's home."""

    def __init__(self, lab: Lab, engine: Engine) -> None:
        self.lab = lab
        self.engine = engine
        self.count = 0
        self._bystander: ProgramState | None = None

    async def open(self) -> None:
        """Loads the bystander."""
        sources = TextSources({"//beside.flow": BYSTANDER})
        self._bystander = await self.engine.load("//beside.flow", sources, Limits())

    async def attempt(self, case: Case, directory: Path) -> Told:
        """Runs a case beside the bystander, and checks all that must hold whatever the case is."""
        for name, content in case.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return await self.beside(self._run(case, directory), directory)

    async def beside(self, hostile: Any, directory: Path) -> Any:
        """What ``hostile`` gives, beside a bystander."""
        self.count += 1
        run_id = f"beside{self.count}"
        self._begin_bystander(run_id, directory)
        with self._watched() as watched:
            told = await asyncio.wait_for(hostile, STOP_SECONDS)
            await asyncio.wait_for(self._end_bystander(run_id, directory), STOP_SECONDS)
        assert watched.growth <= MOST_GROWTH_BYTES, f"the engine grew by {watched.growth:,} bytes"
        assert not watched.too_large, f"a worker had more than its limit: {watched.too_large:,} bytes"
        return told

    # -- the case --------------------------------------------------------------------------------------

    async def _run(self, case: Case, directory: Path) -> Told:
        limits = Limits.from_data(dict(case.limits))
        try:
            main, sources = locate(str(directory / MAIN), prelude_directory())
            program = await self.engine.load(main, sources, limits)
        except FlowmetalError as error:
            told = io.StringIO()
            with redirect_stderr(told):
                show_error(error, debug=False)
            check_shown(told.getvalue())
            verdict = "resource-fault" if _FAULT.search(error.message) else "rejected"
            return Told(verdict, f"{error.message} {error.place} {error.remedy}", shown=told.getvalue())
        grants = parse_grants(["read=.", "write=."], [], str(directory))
        return await self.run(program, f"case{self.count}", directory, grants)

    async def run(
        self, program: ProgramState, run_id: str, directory: Path, grants: GrantSet, *, name: str = "", **more: Any
    ) -> Told:
        """Runs a loaded program to its end."""
        reference = next((each.reference for each in program.flows.values() if each.name == name), "")
        request = RunRequest(run_id, reference, name or "script", NO_ARGS, grants, str(directory), **more)
        self.engine.begin(program, request)
        return self.told(await self.engine.outcome(run_id))

    def told(self, outcome: Outcome) -> Told:
        """What a person is told of an outcome, by `run` and by `log`; none of it may harm a terminal."""
        lines = []
        tree = io.StringIO()
        with redirect_stdout(tree):
            print_tree(self.lab.journal, outcome.header, None)
        check_shown(tree.getvalue())
        if outcome.error is not None:
            return Told("stopped", outcome.error.message, type(outcome.error).__name__, tree.getvalue())
        assert outcome.value is not None
        wire = unpack(outcome.value)
        if is_ok(wire):
            return Told("ok", shown=tree.getvalue(), value=wire["result"][1])
        failure = failure_of(wire)
        lines += failure_lines(self.lab.journal, outcome.header, failure)
        check_shown("\n".join(lines))
        verdict = {"crashed": "resource-fault", "denied": "denied"}.get(failure.kind, "flow-error")
        message = f"{failure.message} {failure.source}"
        return Told(verdict, message, failure.kind, "\n".join([*lines, tree.getvalue()]))

    # -- who must not notice ---------------------------------------------------------------------------

    def _begin_bystander(self, run_id: str, directory: Path) -> None:
        assert self._bystander is not None
        reference = next(flow.reference for flow in self._bystander.flows.values() if flow.name == "beside")
        base = directory / "beside"
        base.mkdir(parents=True, exist_ok=True)
        grants = parse_grants(["write=."], [], str(base))
        self.engine.begin(self._bystander, RunRequest(run_id, reference, "beside", NO_ARGS, grants, str(base)))

    async def _end_bystander(self, run_id: str, directory: Path) -> None:
        while not self.engine.answer(run_id, 4, "go"):
            await asyncio.sleep(0.005)
        outcome = await self.engine.outcome(run_id)
        assert outcome.error is None, outcome.error.show()
        assert unpack(outcome.value or b"")["result"][:2] == [True, [0, 1, 4, "go", 9, 16]]
        assert sorted((directory / "beside" / "beside.txt").read_text().splitlines()) == list("01234")

    @contextmanager
    def _watched(self) -> Iterator[Watched]:
        watched = Watched()
        task = asyncio.get_running_loop().create_task(watched.watch(self.engine))
        try:
            yield watched
            watched.look(self.engine)
        finally:
            task.cancel()


class Watched:
    """How large the engine and its workers became."""

    def __init__(self) -> None:
        self._before = memory_of(os.getpid())[1]
        self.growth = 0
        self.too_large = 0

    async def watch(self, engine: Engine) -> None:
        """Looks again and again."""
        while True:
            self.look(engine)
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self, engine: Engine) -> None:
        """Looks once."""
        self.growth = max(self.growth, memory_of(os.getpid())[1] - self._before)
        for pid in engine.worker_pids():
            size = memory_of(pid)[0]
            if size > Limits().address_space_bytes and not is_coming_up(pid):
                self.too_large = size


def memory_of(pid: int) -> tuple[int, int]:
    """Address space and resident memory of a process, in bytes; nothing where the system does not tell."""
    if sys.platform != "linux":
        return 0, 0
    try:
        size, resident = Path(f"/proc/{pid}/statm").read_text().split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    return int(size) * _PAGE, int(resident) * _PAGE


def is_coming_up(pid: int) -> bool:
    """Whether a worker has not given itself its limit yet."""
    try:
        return "Max address space         unlimited" in Path(f"/proc/{pid}/limits").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return True


def check_shown(text: str) -> None:
    """What a person sees holds nothing that a terminal obeys, and no traceback of ours."""
    odd = {char for char in text if not char.isprintable()} - {"\n", "\t"}
    assert not odd, f"{sorted(odd)} in {text[:2_000]!r}"
    assert "Traceback (most recent" not in text, text
    assert "/flowmetal/" not in text or ".py" not in text, text
