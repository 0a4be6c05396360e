"""The example of effects on files: run twice, changed, cleared."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).absolute().parents[2]
GRANTS = ("--allow", "read=data", "--allow", "read=out", "--allow", "write=out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the example's folder, to be written into."""
    ignored = shutil.ignore_patterns("*.json", "totals.csv", "copies")
    shutil.copytree(CHECKOUT / "examples" / "files", tmp_path / "files", ignore=ignored)
    return tmp_path / "files"


def archive(folder: Path, *options: str, grants: tuple[str, ...] = GRANTS) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "FLOWMETAL_HOME": str(folder.parent / "home"),
        "FLOWMETAL_DURABILITY": "os",
    }
    command = [sys.executable, "-W", "error", "-m", "flowmetal", "run", "archive.flow:archive", *options, *grants]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def outcome(folder: Path, *options: str) -> Any:
    done = archive(folder, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def copies(folder: Path) -> set[str]:
    """The digests of the copies, each of which is the name of its file."""
    found = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "out/copies").iterdir()}
    assert all(name == digest for name, digest in found.items())
    return set(found)


def test_tables_are_taken_in_once(folder: Path) -> None:
    names = ["2024/south.csv", "north.csv"]
    assert outcome(folder) == {"tables": 2, "taken_in": names, "removed": 0}
    digests = {name: hashlib.sha256((folder / "data" / name).read_bytes()).hexdigest() for name in names}
    assert copies(folder) == set(digests.values())
    index = json.loads((folder / "out/index.json").read_text(encoding="utf-8"))
    assert {name: entry["sha256"] for name, entry in index.items()} == digests
    with (folder / "out/totals.csv").open(encoding="utf-8") as table:
        assert list(csv.reader(table)) == [
            ["table", "rows", "total"],
            ["2024/south.csv", "2", "12.0"],
            ["north.csv", "2", "7.5"],
        ]
    assert outcome(folder) == {"tables": 2, "taken_in": [], "removed": 0}

    (folder / "data/north.csv").write_text("item,amount\nnuts,1\n", encoding="utf-8")
    shutil.rmtree(folder / "data/2024")
    assert outcome(folder) == {"tables": 1, "taken_in": ["north.csv"], "removed": 2}
    assert len(copies(folder)) == 1


def test_what_is_no_table_and_what_is_not_granted(folder: Path) -> None:
    (folder / "data/bad.csv").write_text("item,amount\nnuts\n", encoding="utf-8")
    done = archive(folder)
    assert done.returncode == 1
    assert "cannot read `data/bad.csv` as CSV: line 2 has 1 field, but line 1 has 2" in done.stderr
    denied = archive(folder, grants=GRANTS[2:])
    assert denied.returncode == 1
    assert "--allow read=" in denied.stderr
