"""Killed processes and full disks: the old text or the new, never a part."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowmetal.actions.replacing import temporary_name
from tests.actions.desk import KEY, Desk
from tests.actions.kill_everywhere import CASES

CHECKOUT = Path(__file__).parents[2]

PREAMBLE = """
import resource, sys
from pathlib import Path
from flowmetal.actions import EffectFailure
from flowmetal.permissions import parse_grants
from tests.actions.desk import Desk
base = Path(sys.argv[1])
desk = Desk(base, parse_grants(["read=in", "write=out"], [], str(base)))
"""


def command(*args: str) -> list[str]:
    return [sys.executable, "-W", "error", *args]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, sys.path)])}


def run(*args: str, wrapper: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [*wrapper, *command(*args)], env=environment(), capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What was found after each kill."""
    base = os.path.realpath(tmp_path_factory.mktemp("kills"))
    kills: list[dict[str, Any]] = json.loads(run("-m", "tests.actions.kill_everywhere", base))
    return kills


@pytest.mark.parametrize("name", CASES)
def test_killed_at_every_system_call(found: list[dict[str, Any]], name: str) -> None:
    """Whatever call the kill falls on, and again on the next attempt: the old or the new, and in the end the new."""
    cases = [case for case in found if case["name"] == name]
    assert len(cases) > 20
    steps = {"before", "after", "amid"} if name == "make_dir" else {"before", "after"}
    for case in cases:
        assert set(case["states"]) <= steps, case
        assert max(case["leftovers"]) <= 1, case
        assert (case["end"], case["left"]) == ("after", 0), case
    assert {state for case in cases for state in case["states"]} == steps
    replaces = CASES[name].call[0] in ("write", "copy", "write_json", "write_csv")
    assert {count for case in cases for count in case["leftovers"]} == ({0, 1} if replaces else {0})


def test_killed_at_any_moment(desk: Desk, base: Path) -> None:
    size = 400_000
    file = base / "out" / "file"
    file.write_text("a" * size)
    script = PREAMBLE + f"print(flush=True)\nwhile True:\n    for c in 'ab': desk('write', 'out/file', c * {size})\n"
    for delay_milliseconds in (0, 1, 3, 7, 12, 20):
        with subprocess.Popen(command("-c", script, str(base)), env=environment(), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(delay_milliseconds / 1_000)
            process.send_signal(signal.SIGKILL)
        assert file.read_text() in ("a" * size, "b" * size)
        assert set(os.listdir(base / "out")) <= {"file", temporary_name(KEY)}
    desk("write", "out/file", "end")
    assert os.listdir(base / "out") == ["file"]


def test_the_disk_has_the_text_before_the_name_and_the_name_before_the_end(
    desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    real_fsync, real_fcntl, real_rename = os.fsync, fcntl.fcntl, os.rename

    def sync(fd: int) -> None:
        order.append("sync directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")
        real_fsync(fd)

    def full_sync(fd: int, *args: int) -> int:  # what macOS has instead
        order.append("sync file")
        return real_fcntl(fd, *args)

    def rename(*args: Any, **kwargs: Any) -> None:
        order.append("rename")
        real_rename(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(fcntl, "fcntl", full_sync)
    monkeypatch.setattr(os, "rename", rename)
    desk("write", "out/file", "text")
    assert order == ["sync file", "rename", "sync directory"]
    order.clear()
    desk("append", "out/file", "text")
    assert order == []


def test_a_file_that_may_not_grow_leaves_the_old_text(desk: Desk, base: Path) -> None:
    (base / "out" / "file").write_text("old")
    script = (
        PREAMBLE
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for path in ("out/file", "out/new"):
    try:
        desk("write", path, "x" * 100_000)
    except EffectFailure as failure:
        print(failure.kind, failure.message)
"""
    )
    assert run("-c", script, str(base)).splitlines() == [
        "effect cannot write `out/file`: file too large",
        "effect cannot write `out/new`: file too large",
    ]
    assert os.listdir(base / "out") == ["file"]
    assert (base / "out" / "file").read_text() == "old"


def test_copies_and_records_that_may_not_grow_leave_the_old_file(desk: Desk, base: Path) -> None:
    (base / "out" / "file").write_text("old")
    (base / "in" / "large").write_bytes(b"x" * 100_000)
    script = (
        PREAMBLE
        + """
from flowmetal.actions import streaming
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
for way in (streaming._copy_range, None):
    streaming._copy_range = way
    for path in ("out/file", "out/new"):
        for call in (
            ("copy", "in/large", path),
            ("write_json", path, "x" * 100_000),
            ("write_csv", path, [["x" * 100_000]]),
        ):
            try:
                desk(*call)
            except EffectFailure as failure:
                print(failure.kind, failure.message.rpartition(": ")[2])
"""
    )
    assert run("-c", script, str(base)).splitlines() == ["effect file too large"] * 12
    assert os.listdir(base / "out") == ["file"]
    assert (base / "out" / "file").read_text() == "old"


def test_an_append_that_ends_early_says_how_far_it_came(desk: Desk, base: Path) -> None:
    script = (
        PREAMBLE
        + """
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    desk("append", "out/log", "x" * 10_500)
except EffectFailure as failure:
    print(failure.kind, failure.message, failure.details)
"""
    )
    output = run("-c", script, str(base))
    assert "only 10,000 of 10,500 bytes were written; is the disk full?" in output
    assert "{'dict': ['path', 'out/log', 'written_bytes', 10000]}" in output


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    wrapper = [unshare, "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    return subprocess.run(wrapper, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a small file system of our own needs user namespaces")
def test_a_full_disk_leaves_the_old_text(desk: Desk, base: Path) -> None:
    script = (
        PREAMBLE
        + """
import os, subprocess
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(base / "out")], check=True)
desk("write", "out/file", "old")
(base / "in" / "large").write_bytes(b"x" * 100_000)
for path in ("out/file", "out/new"):
    for call in (("write", path, "x" * 100_000), ("copy", "in/large", path)):
        try:
            desk(*call)
        except EffectFailure as failure:
            print(failure.kind, failure.message)
print(os.listdir(base / "out"), (base / "out" / "file").read_text())
"""
    )
    wrapper = ("unshare", "--user", "--map-root-user", "--mount")
    assert run("-c", script, str(base), wrapper=wrapper).splitlines() == [
        "effect cannot write `out/file`: no space left on device",
        "effect cannot copy to `out/file`: no space left on device",
        "effect cannot write `out/new`: no space left on device",
        "effect cannot copy to `out/new`: no space left on device",
        "['file'] old",
    ]
