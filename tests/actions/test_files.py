"""What each effect does with ordinary and with unsuitable files."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from flowmetal.actions import list_dir
from flowmetal.actions.read import MAX_TEXT_BYTES, _read_up_to
from flowmetal.actions.replacing import temporary_name
from flowmetal.values import ok, pack
from tests.actions.desk import KEY, Desk

AS_ROOT = os.geteuid() == 0


def test_what_is_written_is_read(desk: Desk, base: Path) -> None:
    text = "ü\r\n\0\ufeff日本\n"
    assert desk("write", "out/a.txt", text) is None
    assert desk("read", "out/a.txt") == text
    assert (base / "out" / "a.txt").read_bytes() == text.encode()


def test_appending_adds_and_creates(desk: Desk) -> None:
    assert desk("append", "out/log", "one\n") is None
    desk("append", "out/log", "two\n")
    desk("append", "out/log", "")
    assert desk("read", "out/log") == "one\ntwo\n"


def test_a_directory_is_listed_sorted_with_hidden_names(desk: Desk, base: Path) -> None:
    for name in ("b", "B", ".hidden", "é", "a"):
        (base / "in" / name).touch()
    (base / "in" / "dir").mkdir()
    (base / "in" / "link").symlink_to("nowhere")
    assert desk("list_dir", "in") == [".hidden", "B", "a", "b", "dir", "link", "é"]
    assert desk("list_dir", "in/") == desk("list_dir", "in/dir/..")
    assert desk("list_dir", "in/dir") == []


def test_paths_may_be_absolute_or_go_up_inside(desk: Desk, base: Path) -> None:
    (base / "in" / "x").write_text("x")
    for path in (f"{base}/in/x", "./in/x", "in//x", "in/no/../x", "elsewhere/../in/x"):
        assert desk("read", path) == "x"


def test_the_root_of_a_grant_may_be_a_file(desk: Desk, base: Path) -> None:
    (base / "in" / "x").write_text("x")
    (base / "in" / "y").write_text("y")
    one = desk.granted("read=in/x", "write=out/new.txt")
    assert one("read", "in/x") == "x"
    assert one.failure("read", "in/y").kind == "denied"
    one("write", "out/new.txt", "n")
    assert (base / "out" / "new.txt").read_text() == "n"


def test_everything_under_the_root_directory(desk: Desk, base: Path) -> None:
    whole = desk.granted("read=/")
    assert whole("read", "elsewhere/secret.txt") == "secret"
    assert "proc" in whole("list_dir", "/") or not Path("/proc").exists()


def test_nothing_is_granted_by_default(desk: Desk, base: Path) -> None:
    failure = desk.failure("read", "elsewhere/secret.txt")
    assert failure.kind == "denied"
    assert f"add --allow read={base}/elsewhere" in failure.message
    assert desk.failure("write", "in/x", "").kind == "denied"
    assert desk.failure("append", "in/x", "").kind == "denied"
    assert desk.failure("list_dir", "elsewhere").kind == "denied"
    assert not (base / "in" / "x").exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "the path is empty"),
        ("out/a\0b", "the path holds a NUL character"),
        ("out/", "`out/` ends with a slash"),
    ],
)
def test_a_path_that_names_no_file(desk: Desk, path: str, message: str) -> None:
    for call in (("read", path), ("write", path, ""), ("append", path, "")):
        failure = desk.failure(*call)
        assert failure.kind == "error"
        assert message in failure.message


def test_missing_files_and_ways(desk: Desk, base: Path) -> None:
    (base / "out" / "file").touch()
    assert desk.failure("read", "in/no").message == "cannot read `in/no`: no such file or directory"
    assert desk.failure("list_dir", "in/no").message == "cannot list `in/no`: no such file or directory"
    missing = f"the directory {base}/out/no does not exist; make it with make_dir"
    assert desk.failure("write", "out/no/x", "").message == f"cannot write `out/no/x`: {missing}"
    assert desk.failure("append", "out/no/deep/x", "").message == f"cannot append to `out/no/deep/x`: {missing}"
    failure = desk.failure("write", "out/file/x", "")
    assert failure.message == f"cannot write `out/file/x`: {base}/out/file is not a directory"
    assert failure.details == {"dict": ["path", "out/file/x", "errno", "ENOTDIR"]}
    assert desk.failure("list_dir", "out/file").kind == "effect"
    assert "file name too long" in desk.failure("read", "in/" + "x" * 300).message


def test_only_regular_files_and_nothing_blocks(desk: Desk, base: Path) -> None:
    os.mkfifo(base / "out" / "pipe")
    (base / "out" / "dir").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(".", os.O_RDONLY)
        try:  # a socket's path may be 100 bytes long
            os.chdir(base / "out")
            server.bind("socket")
        finally:
            os.fchdir(here)
            os.close(here)
        for name, kind in (("pipe", "a pipe"), ("dir", "a directory"), ("socket", "a socket")):
            for call in (("read", f"out/{name}"), ("write", f"out/{name}", "x"), ("append", f"out/{name}", "x")):
                failure = desk.failure(*call)
                assert failure.kind == "effect"
                assert f"it is {kind}; only regular files" in failure.message
    assert sorted(os.listdir(base / "out")) == ["dir", "pipe", "socket"]


@pytest.mark.skipif(not AS_ROOT, reason="only root makes device files")
def test_a_device_is_never_opened(desk: Desk, base: Path) -> None:
    try:
        os.mknod(base / "in" / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container's root makes no device files")
    for call in (("read", "in/zero"), ("digest", "in/zero"), ("copy", "in/zero", "out/x"), ("read_json", "in/zero")):
        assert "it is a device" in desk.failure(*call).message


def test_text_that_is_not_utf8_names_the_byte(desk: Desk, base: Path) -> None:
    (base / "in" / "latin").write_bytes(b"caf\xe9 and more")
    failure = desk.failure("read", "in/latin")
    assert failure.kind == "effect"
    assert failure.message == "cannot read `in/latin`: it is not UTF-8 text: byte 3 is 0xe9"
    (base / "in" / "surrogate").write_bytes(b"\xed\xa0\x80")
    assert desk.failure("read", "in/surrogate").kind == "effect"


def test_a_name_that_is_not_utf8_is_told(desk: Desk, base: Path) -> None:
    try:
        (base / "in" / os.fsdecode(b"caf\xe9")).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    assert "the name `caf\\xe9` in it is not UTF-8" in desk.failure("list_dir", "in").message


def test_the_largest_text_is_read_and_one_byte_more_is_a_limit(desk: Desk, base: Path) -> None:
    (base / "in" / "full").write_bytes(b"x" * MAX_TEXT_BYTES)
    pack(ok(desk("read", "in/full")))
    (base / "in" / "over").write_bytes(b"x" * (MAX_TEXT_BYTES + 1))
    failure = desk.failure("read", "in/over")
    assert failure.kind == "limit"
    assert f"at most {MAX_TEXT_BYTES:,} (1 MiB encoded)" in failure.message
    assert "split the file, or pass its path" in failure.message


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="files of unknown size are Linux's")
def test_a_file_that_says_it_is_empty_is_read_to_its_end(base: Path) -> None:
    # The text gate refuses /proc; the reading loop is tried on its own.
    fd = os.open("/proc/self/status", os.O_RDONLY)
    try:
        assert os.fstat(fd).st_size == 0
        assert len(_read_up_to(fd, 100)) == 100
    finally:
        os.close(fd)


def test_a_directory_with_too_many_names(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (base / "in" / f"name-{number}").touch()
    monkeypatch.setattr(list_dir, "MAX_NAMES", 20)
    pack(ok(desk("list_dir", "in")))
    monkeypatch.setattr(list_dir, "MAX_NAMES", 19)
    failure = desk.failure("list_dir", "in")
    assert failure.kind == "limit"
    assert "more names than a value holds" in failure.message
    monkeypatch.setattr(list_dir, "MAX_NAMES", 20)
    monkeypatch.setattr(list_dir, "MAX_NAMES_BYTES", 150)
    assert desk.failure("list_dir", "in").kind == "limit"


def test_the_most_that_is_listed_fits_into_a_value() -> None:
    longest = "x" * 255
    count = list_dir.MAX_NAMES_BYTES // (len(longest) + 3)
    pack(ok([longest] * count))
    pack(ok(["x" * 6] * min(list_dir.MAX_NAMES, list_dir.MAX_NAMES_BYTES // 9)))


def test_replacing_keeps_permission_bits(desk: Desk, base: Path) -> None:
    old = base / "out" / "old"
    old.write_text("old")
    old.chmod(0o751)
    desk("write", "out/old", "new")
    assert old.read_text() == "new"
    assert stat.S_IMODE(old.stat().st_mode) == 0o751


def test_replacing_drops_set_user_id(desk: Desk, base: Path) -> None:
    old = base / "out" / "old"
    old.touch()
    old.chmod(0o4755)
    desk("write", "out/old", "new")
    assert stat.S_IMODE(old.stat().st_mode) == 0o755


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o644)])
def test_new_files_follow_the_umask(desk: Desk, base: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        desk("write", "out/written", "")
        desk("append", "out/appended", "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((base / "out" / "written").stat().st_mode) == mode
    assert stat.S_IMODE((base / "out" / "appended").stat().st_mode) == mode


@pytest.mark.skipif(AS_ROOT, reason="root may write to everything")
def test_a_read_only_file_is_not_replaced(desk: Desk, base: Path) -> None:
    old = base / "out" / "old"
    old.write_text("old")
    old.chmod(0o444)
    assert "permission denied" in desk.failure("write", "out/old", "new").message
    assert old.read_text() == "old"


def test_a_killed_attempt_leaves_nothing_behind_the_next(desk: Desk, base: Path) -> None:
    leftover = base / "out" / temporary_name(KEY)
    leftover.write_text("half of a te")
    desk("write", "out/x", "whole")
    assert os.listdir(base / "out") == ["x"]
    desk("write", "out/x", "whole")
    assert (base / "out" / "x").read_text() == "whole"


def test_a_link_under_the_temporary_name_is_not_written_through(desk: Desk, base: Path) -> None:
    (base / "out" / temporary_name(KEY)).symlink_to(base / "elsewhere" / "secret.txt")
    desk("write", "out/x", "new")
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"
    assert not (base / "out" / "x").is_symlink()


def test_the_temporary_name_follows_the_key_alone() -> None:
    assert temporary_name("run/with/slashes.7" * 40) == temporary_name("run/with/slashes.7" * 40)
    assert temporary_name("a") != temporary_name("b")
    assert "/" not in temporary_name("a/b")
    assert len(temporary_name("x" * 1000)) < 64


def test_no_descriptor_stays_open(desk: Desk, base: Path, open_files: Callable[[], int]) -> None:
    (base / "in" / "x").write_text("x")
    (base / "in" / "latin").write_bytes(b"\xff")
    (base / "in" / "out").symlink_to("/etc")
    (base / "in" / "loop").symlink_to("loop")
    os.mkfifo(base / "in" / "pipe")
    before = open_files()
    desk("read", "in/x")
    desk("write", "out/x", "x")
    desk("append", "out/x", "x")
    desk("list_dir", "in")
    for path in ("in/latin", "in/no", "in/no/no", "in/x/no", "in/out/passwd", "in/loop", "in/pipe", "in", "in/out"):
        desk.failure("read", path)
    for path in ("in/no", "in/x", "in/out", "in/loop", "in/pipe"):
        desk.failure("list_dir", path)
    fenced = desk.granted("read=in", protected=(str(base / "in" / "x"),))
    fenced.failure("read", "in/x")
    assert open_files() == before


def test_two_actions_write_beside_each_other(desk: Desk, base: Path) -> None:
    other = replace(desk, key="another")
    desk("write", "out/a", "a")
    other("write", "out/b", "b")
    assert sorted(os.listdir(base / "out")) == ["a", "b"]
