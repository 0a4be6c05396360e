"""Engines that are real processes, and die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from flowmetal.errors import HomeError, RunBusyError
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.journal.lmdb_store import LmdbStore
from tests.journal.journal_samples import HeldClock, request

ENGINE = """
import sys
from pathlib import Path
from flowmetal.alarm_clock import SystemClock
from flowmetal.errors import RunBusyError
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.journal.lmdb_store import LmdbStore

home = Path(sys.argv[1])
journal = Journal(LmdbStore(home / "journal", durability="os"), home, SystemClock())
me = ownership.acquire(home)
print(me.engine_id.hex(), flush=True)
for line in sys.stdin:
    try:
        journal.adopt(line.strip(), me.engine_id)
        print("won", flush=True)
    except RunBusyError:
        print("lost", flush=True)
"""


class Engine:
    """Another process that adopts the runs it is told."""

    def __init__(self, home: Path) -> None:
        checkout = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": checkout},
        )
        self.engine_id = bytes.fromhex(self.line())

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def ask(self, run_id: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(run_id + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def disk_journal(home: Path) -> Journal:
    return Journal(LmdbStore(home / "journal", durability="os"), home, HeldClock())


def test_of_two_processes_exactly_one_adopts(disk_journal: Journal, home: Path) -> None:
    run_ids = [f"run{number}" for number in range(30)]
    for run_id in run_ids:
        disk_journal.begin(request(run_id), None)
    engines = [Engine(home), Engine(home)]
    for run_id in run_ids:
        for engine in engines:
            engine.ask(run_id)
        answers = [engine.line() for engine in engines]
        assert sorted(answers) == ["lost", "won"]
        assert disk_journal.require(run_id).owner == engines[answers.index("won")].engine_id
    for engine in engines:
        engine.kill()
    disk_journal.store.close()


BEGINNER = """
import sys
from pathlib import Path
from flowmetal.alarm_clock import SystemClock
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.journal.lmdb_store import LmdbStore
from tests.journal.journal_samples import request

home = Path(sys.argv[1])
sys.stdin.readline()
journal = Journal(LmdbStore(home / "journal", durability="os"), home, SystemClock())
me = ownership.acquire(home)
print(*(journal.begin(request(f"run{number}"), me.engine_id).outcome for number in range(20)), flush=True)
sys.stdin.readline()
"""


def test_of_many_processes_in_a_new_home_exactly_one_starts_a_run(home: Path) -> None:
    command = [sys.executable, "-c", BEGINNER, str(home)]
    checkout = Path(__file__).parents[2]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": checkout}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.stdout.readline().split() for process in processes]
    for process in processes:
        process.communicate("end\n")
    for outcomes in zip(*answers, strict=True):
        assert sorted(outcomes) == ["followed", "followed", "started"]
    assert len(answers[0]) == 20


def test_a_killed_owner_frees_its_runs(disk_journal: Journal, home: Path, engine: bytes) -> None:
    disk_journal.begin(request("etl"), None)
    other = Engine(home)
    other.ask("etl")
    assert other.line() == "won"
    with pytest.raises(RunBusyError):
        disk_journal.adopt("etl", engine)
    assert ownership.is_alive(home, other.engine_id)
    other.kill()
    assert not ownership.is_alive(home, other.engine_id)
    assert disk_journal.adopt("etl", engine).owner == engine
    assert ownership.sweep(home) == 1, "the dead engine's file"
    assert ownership.is_alive(home, engine)
    disk_journal.store.close()


def test_probing_drops_no_lock(home: Path) -> None:
    mine = ownership.acquire(home)
    for _ in range(3):
        assert ownership.is_alive(home, mine.engine_id)
        assert ownership.sweep(home) == 0
    mine.release()
    assert not ownership.is_alive(home, mine.engine_id)
    assert list((home / "engines").iterdir()) == []


@pytest.mark.parametrize("taken", ["engines", "."])
def test_an_engine_whose_lock_file_is_gone_knows_it(home: Path, tmp_path: Path, taken: str) -> None:
    """To others it is dead, so it must end by itself; when the file is back all is as it was."""
    mine = ownership.acquire(home)
    mine.check()
    (home / taken).rename(tmp_path / "away")
    assert not ownership.is_alive(home, mine.engine_id)
    with pytest.raises(HomeError, match="moved, removed or replaced") as raised:
        mine.check()
    assert "flowmetal resume" in raised.value.remedy
    (tmp_path / "away").rename(home / taken)
    mine.check()
    assert ownership.is_alive(home, mine.engine_id)
    path = home / "engines" / f"{mine.engine_id.hex()}.lock"
    path.unlink()
    path.touch()  # another file of that name holds no lock
    with pytest.raises(HomeError):
        mine.check()
    shutil.rmtree(home)
    mine.release()


def test_probes_do_not_see_each_other(home: Path) -> None:
    dead = ownership.acquire(home)
    path = home / "engines" / f"{dead.engine_id.hex()}.lock"
    dead.release()
    path.touch()  # as a killed engine leaves it
    wrong: list[bool] = []

    def probe() -> None:
        wrong.extend(alive for _ in range(300) if (alive := ownership.is_alive(home, dead.engine_id)))

    threads = [threading.Thread(target=probe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_sweeping_takes_no_engine_away_while_it_comes_up(home: Path) -> None:
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            ownership.sweep(home)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    engines = [ownership.acquire(home) for _ in range(200)]
    done.set()
    sweeper.join()
    assert all(ownership.is_alive(home, engine.engine_id) for engine in engines)
    for engine in engines:
        engine.release()


def test_the_lock_is_not_inherited(home: Path) -> None:
    mine = ownership.acquire(home)
    script = "import sys; print('up', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], close_fds=False, **pipes) as child:
        # The kernel closes descriptors a moment after it lets the parent go on, so wait until the child runs.
        assert child.stdout
        assert child.stdout.readline() == b"up\n"
        os.close(mine._descriptor)  # the file stays, as when an engine is killed
        assert not ownership.is_alive(home, mine.engine_id)
        child.communicate()


def test_other_files_are_left_alone(home: Path) -> None:
    assert ownership.sweep(home) == 0
    (home / "engines").mkdir(parents=True)
    (home / "engines" / "notes.txt").touch()
    assert ownership.sweep(home) == 0


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for call in (ownership.acquire, ownership.sweep, lambda home: ownership.is_alive(home, bytes(16))):
        with pytest.raises(HomeError) as raised:
            call(tmp_path / "file")
        assert raised.value.remedy
