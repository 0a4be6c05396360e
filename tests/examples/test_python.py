"""The example of Python functions and programs."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).absolute().parents[2]
GRANTS = ("--allow", "call=tables", "--allow", "exec=gzip", "--allow", "write=out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example's folder, to be written into."""
    shutil.copytree(CHECKOUT / "examples" / "python", tmp_path / "python", ignore=shutil.ignore_patterns("*.gz"))
    return tmp_path / "python"


def report(folder: Path, *options: str, grants: tuple[str, ...] = GRANTS) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "FLOWMETAL_HOME": str(folder.parent / "home"),
        "FLOWMETAL_DURABILITY": "os",
    }
    command = [sys.executable, "-W", "error", "-m", "flowmetal", "run", "report.flow:report", *options, *grants]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_tables_are_summarised_and_packed(folder: Path) -> None:
    done = report(folder)
    assert done.returncode == 0, done.stderr
    means = json.loads(done.stdout)
    assert set(means) == {"north", "south"}
    packed = json.loads(gzip.decompress((folder / "out" / "report.json.gz").read_bytes()))
    assert packed == [{"table": table, "rows": 50_000, "mean": mean} for table, mean in means.items()]
    assert all(45 < mean < 55 for mean in means.values())


def test_a_failure_of_the_function_ends_the_run(folder: Path) -> None:
    done = report(folder, "--tables", "north", "--tables", "east")
    assert done.returncode == 1
    assert "there is no table east" in done.stderr
    assert not (folder / "out" / "report.json.gz").exists()


def test_what_is_not_granted_is_said(folder: Path) -> None:
    done = report(folder, grants=GRANTS[2:])
    assert done.returncode == 1
    assert "add --allow call=tables:summarise" in done.stderr
