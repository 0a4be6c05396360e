"""The command line as people use it: real processes, a home of their own."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowmetal.cli.main import run as run_here
from tests.cli.forked_commands import run_forked

CHECKOUT = Path(__file__).absolute().parents[2]
PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout holds."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What stdout holds, one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Cli:
    """Runs commands in ``folder`` with ``home``; no output may ever hold a traceback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        path = [str(CHECKOUT), *(entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry)]
        self.environment = {**os.environ, "FLOWMETAL_HOME": str(self.home), "PYTHONPATH": os.pathsep.join(path)}
        self.environment["FLOWMETAL_DURABILITY"] = "os"

    def start(self, *args: str) -> subprocess.Popen[str]:
        """A command that goes on by itself."""
        command = [sys.executable, "-W", "error", "-m", "flowmetal", *args]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def __call__(self, *args: str) -> Done:
        """A command to its end, of which nothing is looked at but what it does."""
        code, out, err = run_forked(args, self.folder, self.environment, PATIENCE_SECONDS)
        assert "Traceback" not in out + err, err
        return Done(code, out, err)

    def anew(self, *args: str) -> Done:
        """A command to its end, from the first instruction of its process."""
        return self.end(self.start(*args))

    def end(self, process: subprocess.Popen[str]) -> Done:
        """The end of a command that was started."""
        try:
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        assert "Traceback" not in out + err, err
        return Done(process.returncode, out, err)

    def file(self, name: str, text: str) -> str:
        """Writes a file; its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    def text(self, name: str) -> str:
        """The text of a file, "" when there is none."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else ""


def until(condition: Callable[[], object]) -> None:
    """Waits for a condition."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


class Here:
    """Runs commands in this process, where no more than what they do is looked at; as ``Cli`` otherwise."""

    def __init__(self, cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = cli.home
        self._capsys = capsys

    def __call__(self, *args: str) -> Done:
        """A command to its end."""
        self._capsys.readouterr()
        gc.collect()  # a journal is closed with the last reference to it, and is open once in a process
        code = run_here(list(args))
        out, err = self._capsys.readouterr()
        return Done(code, out, err)


@pytest.fixture
def here(cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Commands in this process, in the folder and the home of ``cli``."""
    monkeypatch.setenv("FLOWMETAL_HOME", str(cli.home))
    monkeypatch.setenv("FLOWMETAL_DURABILITY", "os")
    monkeypatch.chdir(cli.folder)
    return Here(cli, capsys)
