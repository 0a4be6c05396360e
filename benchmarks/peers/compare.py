"""What Flowmetal and DBOS both can do: ``./dev bench --peers``.

DBOS keeps its records in SQLite, the one of its stores that needs no server either, as durably as it does by itself.
Each of its cases is a process of its own, in a Python of its own: nothing of Flowmetal needs what is installed there.

The two take turns, so that what else the machine does falls on both.  Of three the median counts, not the best: the
shorter a measurement is, the likelier one of three finds the machine idle, and those of Flowmetal are much shorter.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, Literal

from benchmarks.harness import FLOWS, command, kill_process_when, run_flow, temporary_place, timed_command

REQUIREMENTS: Final = Path(__file__).parent / "requirements.txt"
_VENV: Final = Path(__file__).parents[2] / ".venv-peers"
_PROGRAM: Final = Path(__file__).parent / "dbos_program.py"
_REPEATS: Final = 3
_PATIENCE_SECONDS: Final = 300

# As many as the flows of the same name do.
_STEPS: Final = 1_000
_CHILDREN: Final = 200
_EFFECTS: Final = 200

NOTES: Final = (
    "A: DBOS commits every step and every child. Flowmetal commits children that touch nothing many at a time, before",
    "   anything leaves the engine that depends on them; what they returned is lost with a kill, and computed again.",
    "A2, F: on both sides every line appended is recorded durably before the next is begun.",
    "F: about a second of DBOS's restart is its own pause before it looks for what was interrupted. Both append again",
    "   what was appended and not yet recorded when the kill came.",
)
"""What has to be known to read the figures."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both; of the unit ``/s`` more is better, of ``s`` less; a count of effects has none."""

    case: str
    what: str
    ours: float
    theirs: float
    unit: Literal["/s", "s", ""]

    @property
    def times_better(self) -> float | None:
        """How many times better Flowmetal is; None for a count, which may be zero."""
        if not self.unit:
            return None
        return self.ours / self.theirs if self.unit == "/s" else self.theirs / self.ours


def about() -> str:
    """Which DBOS is measured, and how durable its commits are."""
    with temporary_place() as place:
        return _dbos(place, "about").strip()


def seq() -> Iterator[Pair]:
    """A: one run, trivial things one after another; a step of DBOS is the less that it can do, a child the same."""
    ours, theirs = _in_turn(lambda: run_flow("seq").seconds, lambda: _inside("steps", _STEPS))
    yield Pair("A seq", "child flows | steps", 1_000 / ours, _STEPS / theirs, "/s")
    ours, theirs = _in_turn(lambda: run_flow("seq").seconds, lambda: _inside("children", _CHILDREN))
    yield Pair("A seq", "child flows | child workflows", 1_000 / ours, _CHILDREN / theirs, "/s")


def effects() -> Iterator[Pair]:
    """A2: lines appended to a file, each recorded durably before the next; the flow is the one that F kills."""
    ours, theirs = _in_turn(lambda: run_flow("crash").seconds, lambda: _inside("effects", _EFFECTS))
    yield Pair("A2 effects", "lines appended", _EFFECTS / ours, _EFFECTS / theirs, "/s")


def cold() -> Iterator[Pair]:
    """E: one step, the whole process from nothing."""
    ours, theirs = _in_turn(_our_cold, _their_cold)
    yield Pair("E cold", "one-step run, whole process", ours, theirs, "s")


def crash() -> Iterator[Pair]:
    """F: kill -9 in a run of 200 effects, then a restart to its end."""
    turns = [(_our_crash(), _their_crash()) for _ in range(_REPEATS)]
    ours, theirs = zip(*turns, strict=True)
    seconds = [median(restart for restart, _ in side) for side in (ours, theirs)]
    yield Pair("F crash", "restart to the end, whole process", seconds[0], seconds[1], "s")
    most = [max(repeated for _, repeated in side) for side in (ours, theirs)]
    yield Pair("F crash", f"effects repeated, most of {_REPEATS}", most[0], most[1], "")


PEER_CASES: Final[dict[str, Callable[[], Iterator[Pair]]]] = {
    "seq": seq,
    "effects": effects,
    "cold": cold,
    "crash": crash,
}
"""By the names that they have without ``--peers``."""


def _in_turn(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    turns = [(ours(), theirs()) for _ in range(_REPEATS)]
    return median(mine for mine, _ in turns), median(other for _, other in turns)


def _our_cold() -> float:
    with temporary_place() as place:
        return timed_command(place, "run", str(FLOWS / "one.flow"))


def _their_cold() -> float:
    with temporary_place() as place:
        return _timed(place, "steps", "1")


def _our_crash() -> tuple[float, int]:
    with temporary_place() as place:
        written = place / "work" / "crash.txt"
        run = ["run", str(FLOWS / "crash.flow"), "--id", "crash", "--allow", f"write={place / 'work'}", "--quiet"]
        kill_process_when(lambda: _lines(written) >= _EFFECTS / 2, command(place, *run), place / "work")
        return timed_command(place, "resume", "crash"), _repeated(written)


def _their_crash() -> tuple[float, int]:
    with temporary_place() as place:
        written = place / "written.txt"
        run = _command(place, "effects", str(_EFFECTS))
        kill_process_when(lambda: _lines(written) >= _EFFECTS / 2, run, place / "work", _environment())
        return _timed(place, "resume"), _repeated(written)


def _lines(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def _repeated(written: Path) -> int:
    lines = written.read_text().split()
    if {int(line) for line in lines} != set(range(_EFFECTS)):
        raise RuntimeError("effects are missing after the restart")
    return len(lines) - _EFFECTS


def _inside(case: str, count: int) -> float:
    """Seconds that the program itself tells: its start is left out, as that of Flowmetal's engine is."""
    with temporary_place() as place:
        return float(_dbos(place, case, str(count)))


def _timed(place: Path, *arguments: str) -> float:
    """Seconds of the whole process."""
    begin = time.perf_counter()
    _dbos(place, *arguments)
    return time.perf_counter() - begin


def _dbos(place: Path, *arguments: str) -> str:
    """What a DBOS program prints; fails unless it exits 0."""
    return subprocess.run(
        _command(place, *arguments),
        cwd=place / "work",
        env=_environment(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_PATIENCE_SECONDS,
    ).stdout


def _command(place: Path, case: str, *arguments: str) -> list[str]:
    return [str(_VENV / "bin" / "python"), str(_PROGRAM), case, str(place), *arguments]


def _environment() -> dict[str, str]:
    """Without what makes DBOS connect elsewhere or be another version, and without modules of another Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DBOS", "OTEL_", "PYTHONPATH"))}


def install() -> None:
    """Makes the Python that has DBOS, unless it is there and what is wanted is what it was."""
    python, installed = _VENV / "bin" / "python", _VENV / "installed-for.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return
    print(f"bench: installing {wanted.strip()} into {_VENV.name}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
    installed.write_text(wanted, encoding="utf-8")
