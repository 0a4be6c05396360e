"""Copying, and what files of any size hold."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowmetal.actions import EffectFailure, streaming
from flowmetal.actions import copy as _copy
from flowmetal.actions import digest as _digest
from flowmetal.actions.replacing import temporary_name
from flowmetal.values import Wire
from tests.actions.desk import KEY, Desk

LARGE = 5 * 1024 * 1024 + 17


def fields(wire: Wire) -> dict[str, Wire]:
    """The fields of a struct."""
    return dict(zip(wire["struct"][::2], wire["struct"][1::2], strict=True))


def refuse(number: int) -> Callable[..., int]:
    def call(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


@pytest.fixture(params=["ranges", "no such call", "another file system", "a kernel that gives up", "not in the kernel"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the kernel helps."""
    ways: dict[str, object] = {
        "no such call": refuse(errno.ENOSYS),
        "another file system": refuse(errno.EXDEV),
        "a kernel that gives up": lambda *_: 0,
        "not in the kernel": None,
    }
    if request.param in ways:
        monkeypatch.setattr(streaming, "_copy_range", ways[request.param])
    return str(request.param)


def test_a_large_file(desk: Desk, base: Path, way: str) -> None:
    data = os.urandom(LARGE)
    (base / "in" / "large").write_bytes(data)
    assert desk.failure("read", "in/large").kind == "limit"
    assert desk("copy", "in/large", "out/copy") == LARGE, way
    assert (base / "out" / "copy").read_bytes() == data
    assert fields(desk("digest", "out/copy")) == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": LARGE}
    assert os.listdir(base / "out") == ["copy"]


def test_an_empty_file(desk: Desk, base: Path) -> None:
    (base / "in" / "empty").touch()
    assert desk("copy", "in/empty", "out/empty") == 0
    assert (base / "out" / "empty").read_bytes() == b""
    assert fields(desk("digest", "in/empty"))["sha256"] == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(("bits", "kept"), [(0o644, 0o644), (0o755, 0o755), (0o600, 0o600), (0o6755, 0o755)])
def test_permission_bits(desk: Desk, base: Path, bits: int, kept: int) -> None:
    source, target = base / "in" / "source", base / "out" / "target"
    source.write_text("new")
    source.chmod(bits)
    desk("copy", "in/source", "out/target")
    assert stat.S_IMODE(target.stat().st_mode) == kept
    target.chmod(0o666)
    desk("copy", "in/source", "out/target")
    assert stat.S_IMODE(target.stat().st_mode) == kept


def test_onto_itself_and_a_second_name_of_it(desk: Desk, base: Path) -> None:
    (base / "out" / "a").write_text("text")
    os.link(base / "out" / "a", base / "out" / "b")
    desk("copy", "out/a", "out/a")
    desk("copy", "out/a", "out/b")
    assert (base / "out" / "a").read_text() == (base / "out" / "b").read_text() == "text"


def test_both_ends_are_decided_on(desk: Desk, base: Path) -> None:
    (base / "out" / "x").write_text("x")
    (base / "in" / "x").write_text("x")
    for source, target in (
        ("elsewhere/secret.txt", "out/y"),
        ("out/x", "in/y"),
        ("out/x", "elsewhere/y"),
        ("in/x", "out/flowmetal.toml"),
        ("in/x", "out/repository/.GIT/hooks/pre-commit"),
    ):
        assert desk.failure("copy", source, target).kind == "denied", (source, target)
    only = desk.granted("write=out")
    failure = only.failure("copy", "out/x", "out/y")
    assert "`write=" in failure.message
    assert "does not allow reading" in failure.message
    assert sorted(os.listdir(base / "out")) == ["x"]


def test_what_cannot_be_copied(desk: Desk, base: Path) -> None:
    (base / "in" / "x").write_text("x")
    (base / "out" / "dir").mkdir()
    os.mkfifo(base / "out" / "pipe")
    assert "`in/no`: no such file" in desk.failure("copy", "in/no", "out/y").message
    assert "cannot copy `in`: it is a directory" in desk.failure("copy", "in", "out/y").message
    assert "cannot copy `out/pipe`: it is a pipe" in desk.failure("copy", "out/pipe", "out/y").message
    assert "cannot copy to `out/dir`: it is a directory" in desk.failure("copy", "in/x", "out/dir").message
    assert "cannot copy to `out/pipe`: it is a pipe" in desk.failure("copy", "in/x", "out/pipe").message
    missing = desk.failure("copy", "in/x", "out/no/y").message
    assert f"the directory {base}/out/no does not exist; make it with make_dir" in missing
    assert "the source is empty" in desk.failure("copy", "", "out/y").message
    assert "ends with a slash" in desk.failure("copy", "in/x", "out/").message
    assert "cannot read `out/pipe`: it is a pipe" in desk.failure("digest", "out/pipe").message
    assert sorted(os.listdir(base / "out")) == ["dir", "pipe"]


# -- while others write --------------------------------------------------------------------------------


def while_reading(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """Have ``change`` done before each piece is read."""
    real = streaming.pieces

    def pieces(*args: Any) -> Iterator[bytes]:
        for piece in real(*args):
            yield piece
            change()

    monkeypatch.setattr(streaming, "_copy_range", None)
    for module in (_copy, _digest):
        monkeypatch.setattr(module, "pieces", pieces)


def test_a_file_that_grows_as_fast_as_it_is_read(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = base / "in" / "log"
    source.write_bytes(b"a" * LARGE)

    def grow() -> None:
        with source.open("ab") as file:
            file.write(b"b" * 2 * 1024 * 1024)

    while_reading(monkeypatch, grow)
    assert desk("copy", "in/log", "out/log") == LARGE
    assert (base / "out" / "log").read_bytes() == b"a" * LARGE
    source.write_bytes(b"a" * LARGE)
    assert fields(desk("digest", "in/log")) == {
        "sha256": hashlib.sha256(b"a" * LARGE).hexdigest(),
        "bytes": LARGE,
    }


def test_a_file_that_becomes_shorter(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = base / "in" / "file", base / "out" / "file"
    source.write_bytes(b"a" * LARGE)
    target.write_text("old")
    while_reading(monkeypatch, lambda: os.truncate(source, 10))
    for call in (("copy", "in/file", "out/file"), ("digest", "in/file")):
        source.write_bytes(b"a" * LARGE)
        failure = desk.failure(*call)
        assert failure.kind == "effect"
        assert f"it became shorter while it was read: 1,048,576 of {LARGE:,} bytes were there" in failure.message
    assert target.read_text() == "old"
    assert os.listdir(base / "out") == ["file"]


def test_a_target_directory_that_is_removed_meanwhile(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (base / "in" / "file").write_bytes(b"a" * LARGE)
    directory = base / "out" / "d"
    directory.mkdir()

    def take_away() -> None:
        for path in directory.iterdir() if directory.exists() else ():
            path.unlink()
        if directory.exists():
            directory.rmdir()

    while_reading(monkeypatch, take_away)
    failure = desk.failure("copy", "in/file", "out/d/file")
    assert (failure.kind, failure.message) == ("effect", "cannot copy to `out/d/file`: no such file or directory")
    assert os.listdir(base / "out") == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="files of unknown size are Linux's")
def test_a_file_that_says_it_is_empty_and_is_not() -> None:
    fd = os.open("/proc/self/status", os.O_RDONLY)  # the gate refuses /proc; the check is tried on its own
    try:
        size = os.fstat(fd).st_size
        with pytest.raises(EffectFailure, match="cannot copy `status`: it says that it has 0 bytes and has more"):
            streaming.check_told_size(fd, size, "copy", "status")
        assert os.read(fd, 5) == b"Name:"  # nothing was taken away
    finally:
        os.close(fd)


# -- attempts ------------------------------------------------------------------------------------------


def test_an_attempt_that_is_still_at_work_is_not_disturbed(
    desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time was up and the next attempt begins, with the same key and so the same temporary file."""
    (base / "in" / "file").write_bytes(b"a" * LARGE)
    failures = []

    def begin_again() -> None:
        if not failures:
            failures.append(desk.failure("copy", "in/file", "out/file"))
            failures.append(desk.failure("write", "out/file", "text"))

    while_reading(monkeypatch, begin_again)
    assert desk("copy", "in/file", "out/file") == LARGE
    assert [failure.kind for failure in failures] == ["effect"] * 2
    assert all("an earlier attempt of this very action is still at work" in each.message for each in failures)
    assert (base / "out" / "file").stat().st_size == LARGE
    assert os.listdir(base / "out") == ["file"]


def test_a_file_system_without_locks(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    (base / "out" / temporary_name(KEY)).write_text("of a killed attempt")
    desk("write", "out/file", "text")
    assert os.listdir(base / "out") == ["file"]
    monkeypatch.setattr(fcntl, "flock", refuse(errno.EIO))
    assert "input/output error" in desk.failure("write", "out/file", "other").message.lower()
    assert (base / "out" / "file").read_text() == "text"


@pytest.mark.parametrize("kind", ["pipe", "link", "dangling link"])
def test_what_somebody_put_under_the_temporary_name(desk: Desk, base: Path, kind: str) -> None:
    name = base / "out" / temporary_name(KEY)
    if kind == "pipe":
        os.mkfifo(name)
    else:
        name.symlink_to("../elsewhere/secret.txt" if kind == "link" else "../elsewhere/new.txt")
    (base / "in" / "x").write_text("x")
    desk("copy", "in/x", "out/x")
    assert os.listdir(base / "out") == ["x"]
    assert os.listdir(base / "elsewhere") == ["secret.txt"]
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"


def test_no_descriptor_stays_open(desk: Desk, base: Path, open_files: Callable[[], int]) -> None:
    (base / "in" / "x").write_text("x")
    (base / "in" / "l").symlink_to("/etc/passwd")
    os.mkfifo(base / "in" / "pipe")
    before = open_files()
    desk("copy", "in/x", "out/x")
    desk("digest", "in/x")
    for source, target in (("in/x", "out/no/y"), ("in/l", "out/y"), ("in/pipe", "out/y"), ("in/no", "out/y")):
        desk.failure("copy", source, target)
    (base / "out" / "dir").mkdir()
    desk.failure("copy", "in/x", "out/dir")
    assert open_files() == before
