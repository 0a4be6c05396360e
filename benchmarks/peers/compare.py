"""What Flowmetal and DBOS both can do, one after the other: ``./dev bench --peers``.

DBOS keeps its records in SQLite, the one of its stores that needs no server either, as durably as it does by itself.
Each of its cases is a process of its own, in a Python of its own: nothing of Flowmetal needs what is installed there.
The best of two is taken on either side.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness import FLOWS, kill_when, run_flow, temporary_place, timed_command

_HERE: Final = Path(__file__).parent
_VENV: Final = _HERE.parent.parent / ".venv-peers"
_PROGRAM: Final = _HERE / "dbos_program.py"
_REPEATS: Final = 2
_PATIENCE_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Pair:
    """One figure of both; ``unit`` is ``/s``, of which more is better, or ``s``, of which less is."""

    case: str
    what: str
    ours: float
    theirs: float
    unit: str

    @property
    def times_better(self) -> float:
        """How many times better Flowmetal is."""
        return self.ours / self.theirs if self.unit == "/s" else self.theirs / self.ours


def compare() -> Iterator[Pair]:
    """Every case, each engine in its turn."""
    python = _python()
    seq = 1_000 / _best(lambda: run_flow("seq").seconds)
    yield Pair("A seq", "trivial steps, one after another", seq, 1_000 / _best(lambda: _inside(python, "steps")), "/s")
    yield Pair("A seq", "child flows, one after another", seq, 200 / _best(lambda: _inside(python, "children")), "/s")
    effects = 1_000 / _best(lambda: run_flow("effects").seconds)
    theirs = 200 / _best(lambda: _inside(python, "effects"))
    yield Pair("A2 effects", "a line appended, each durable", effects, theirs, "/s")
    yield Pair("E cold", "one step, whole process", _best(_our_cold), _best(lambda: _whole(python, "one")), "s")
    yield Pair("F crash", "killed, restart to the end", _best(_our_crash), _best(lambda: _their_crash(python)), "s")


def _best(measure: Callable[[], float]) -> float:
    return min(measure() for _ in range(_REPEATS))


def _python() -> str:
    """The Python that has DBOS, made at first use."""
    python = _VENV / "bin" / "python"
    installed = _VENV / "installed-for.txt"
    wanted = (_HERE / "requirements.txt").read_text(encoding="utf-8")
    if not installed.is_file() or installed.read_text(encoding="utf-8") != wanted:
        print(f"bench: installing {wanted.strip()} into {_VENV.name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_VENV)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]
        subprocess.run([*install, str(_HERE / "requirements.txt")], check=True)
        installed.write_text(wanted, encoding="utf-8")
    return str(python)


def _inside(python: str, case: str) -> float:
    """Seconds that the program itself tells."""
    with temporary_place() as place:
        done = subprocess.run(
            [python, str(_PROGRAM), case, str(place)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )
    return float(done.stdout.split()[-1])


def _whole(python: str, case: str) -> float:
    """Seconds of the whole process."""
    with temporary_place() as place:
        return _timed(python, case, place)


def _timed(python: str, case: str, place: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(
        [python, str(_PROGRAM), case, str(place)], check=True, stdout=subprocess.DEVNULL, timeout=_PATIENCE_SECONDS
    )
    return time.perf_counter() - begin


def _our_cold() -> float:
    with temporary_place() as place:
        return timed_command(place, "run", str(FLOWS / "one.flow"))


def _our_crash() -> float:
    with temporary_place() as place:
        written = place / "work" / "crash.txt"
        grant = f"write={place / 'work'}"
        kill_when(
            place, lambda: _lines(written) >= 100, "run", str(FLOWS / "crash.flow"), "--id", "c", "--allow", grant
        )
        seconds = timed_command(place, "resume", "c")
        _check(written)
    return seconds


def _their_crash(python: str) -> float:
    with temporary_place() as place:
        written = place / "written.txt"
        with subprocess.Popen([python, str(_PROGRAM), "effects", str(place)], stdout=subprocess.DEVNULL) as process:
            while _lines(written) < 100:
                if process.poll() is not None:
                    raise RuntimeError("the process ended before it could be killed")
                time.sleep(0.001)
            process.kill()
        seconds = _timed(python, "resume", place)
        _check(written)
    return seconds


def _lines(file: Path) -> int:
    return file.read_text().count("\n") if file.exists() else 0


def _check(written: Path) -> None:
    if {int(line) for line in written.read_text().split()} != set(range(200)):
        raise RuntimeError("effects are missing after the restart")
