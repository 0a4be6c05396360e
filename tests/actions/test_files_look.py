"""Looking at files and searching for them, making directories and removing."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.actions import glob
from flowmetal.actions.stat import _timestamp
from flowmetal.values import Wire, ok, pack
from tests.actions.desk import Desk

AS_ROOT = os.geteuid() == 0


def fields(wire: Wire) -> dict[str, Wire]:
    """The fields of a struct."""
    return dict(zip(wire["struct"][::2], wire["struct"][1::2], strict=True))


def make(base: Path, *paths: str) -> None:
    """Files, and directories where the path ends with a slash."""
    for path in paths:
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            (base / path).mkdir(exist_ok=True)
        else:
            (base / path).write_text(path)


# -- stat ----------------------------------------------------------------------------------------------


def test_what_is_there(desk: Desk, base: Path) -> None:
    make(base, "in/file", "in/dir/")
    os.utime(base / "in" / "file", ns=(0, 1_700_000_000_123_456_789))
    found = fields(desk("stat", "in/file"))
    assert found == {
        "kind": "file",
        "bytes": 7,
        "modified": "2023-11-14T22:13:20.123456Z",
        "executable": False,
    }
    (base / "in" / "file").chmod(0o610)
    assert fields(desk("stat", "in/file"))["executable"] is True
    for path in ("in/dir", "in/dir/", "in", "in/.", "in/dir/.."):
        assert (fields(desk("stat", path))["kind"], fields(desk("stat", path))["bytes"]) == ("directory", 0)
    assert fields(desk("stat", "in/dir"))["executable"] is False
    for path in ("in/no", "in/no/deep", "in/file/x", "in/no/"):
        assert desk("stat", path) is None
    pack(ok(desk("stat", "in/file")))


def test_what_is_neither_file_nor_directory(desk: Desk, base: Path) -> None:
    os.mkfifo(base / "in" / "pipe")
    for name, target in (("inside", "pipe"), ("out", "../elsewhere/secret.txt"), ("proc", "/proc/self/environ")):
        (base / "in" / name).symlink_to(target)
        assert fields(desk("stat", f"in/{name}"))["kind"] == "link"  # of a link itself nothing more is told
        assert fields(desk("stat", f"in/{name}"))["bytes"] == 0
    assert fields(desk("stat", "in/pipe"))["kind"] == "other"
    (base / "in" / "d").symlink_to("../elsewhere")
    assert desk.failure("stat", "in/d/secret.txt").kind == "denied"
    assert desk.failure("stat", "elsewhere/secret.txt").kind == "denied"


@pytest.mark.parametrize(
    ("seconds", "modified"),
    [(-1, "1969-12-31T23:59:59.000000Z"), (0, "1970-01-01T00:00:00.000000Z"), (2**32, "2106-02-07T06:28:16.000000Z")],
)
def test_times_of_other_ages(desk: Desk, base: Path, seconds: int, modified: str) -> None:
    make(base, "in/file")
    os.utime(base / "in" / "file", (seconds, seconds))
    if int((base / "in" / "file").stat().st_mtime) != seconds:
        pytest.skip("this file system keeps no such times")
    assert fields(desk("stat", "in/file"))["modified"] == modified
    assert _timestamp(10**12 * 10**9) is _timestamp(-(10**12) * 10**9) is None  # few file systems keep the year 33,658


# -- glob ----------------------------------------------------------------------------------------------


def test_paths_like_a_pattern(desk: Desk, base: Path) -> None:
    make(base, "in/b.csv", "in/a.csv", "in/x/c.csv", "in/x/y/d.csv", "in/.hidden/e.csv", "in/x/.f.csv", "in/é.txt")
    assert desk("glob", "*.csv", "in") == ["a.csv", "b.csv"]
    assert desk("glob", "**/*.csv", "in") == ["a.csv", "b.csv", "x/c.csv", "x/y/d.csv"]
    assert desk("glob", "**", "in/x") == ["c.csv", "y", "y/d.csv"]
    assert desk("glob", "x/*/*", "in/") == ["x/y/d.csv"]
    assert desk("glob", ".hidden/*", "in") == [".hidden/e.csv"]
    assert desk("glob", "*/.*", "in") == ["x/.f.csv"]
    assert desk("glob", "?.txt", "in") == ["é.txt"]
    assert desk("glob", "a.csv", "in") == ["a.csv"]
    assert desk("glob", "no.csv", "in") == []
    assert desk("glob", "*/" + "é" * 200, "in") == []
    assert desk("glob", "*", str(base / "in" / "x")) == ["c.csv", "y"]


def test_directories_at_the_beginning_of_a_pattern_belong_to_the_path(desk: Desk, base: Path) -> None:
    make(base, "in/x/c.csv", "in/x/y/d.csv")
    assert desk("glob", "in/x/**/*.csv") == ["in/x/c.csv", "in/x/y/d.csv"]
    assert desk("glob", "in/*/*.csv") == ["in/x/c.csv"]
    failure = desk.failure("glob", "**/*.csv")
    assert failure.kind == "denied"
    assert f"add --allow read={base}" in failure.message
    assert desk.failure("glob", "elsewhere/*").kind == "denied"
    assert desk.failure("glob", "in/no/*").message == "cannot search `in/no`: no such file or directory"
    assert desk.failure("glob", "*", "in/x/c.csv").message == "cannot search `in/x/c.csv`: not a directory"
    assert desk.failure("glob", "a/../*", "in").kind == "error"
    assert desk.failure("glob", "*", "").message == "glob: the path is empty"


def test_links_are_listed_and_not_entered(desk: Desk, base: Path) -> None:
    make(base, "in/x/c.csv")
    (base / "in" / "x" / "loop").symlink_to("..")
    (base / "in" / "out").symlink_to("../elsewhere")
    (base / "in" / "inside").symlink_to("x")
    (base / "in" / "dangling").symlink_to("nowhere")
    assert desk("glob", "**", "in") == ["dangling", "inside", "out", "x", "x/c.csv", "x/loop"]
    assert desk("glob", "*/*.csv", "in") == ["x/c.csv"]
    assert desk("glob", "inside/*.csv", "in") == ["inside/c.csv"]
    assert desk.failure("glob", "out/*", "in").kind == "denied"


def test_what_is_denied_is_passed_over(desk: Desk, base: Path) -> None:
    make(base, "in/x/c", "in/secret/c", "in/secret/deep/c", "in/key")
    os.link(base / "in" / "key", base / "in" / "x" / "second")
    guarded = desk.granted("read=in", deny=("read=in/secret", "read=in/key"))
    assert guarded("glob", "**", "in") == ["x", "x/c"]
    assert guarded("glob", "**/c", "in") == ["x/c"]
    assert guarded("glob", "*/deep/*", "in") == []
    assert guarded("glob", "key", "in") == []
    assert guarded.failure("glob", "secret/*", "in").kind == "denied"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_the_kernels_views_are_passed_over(desk: Desk) -> None:
    whole = desk.granted("read=/")
    assert not {"proc", "sys", "dev"} & set(whole("glob", "*", "/"))
    assert whole("glob", "*/self/environ", "/") == []
    assert whole.failure("glob", "proc/*", "/").kind == "denied"


def test_names_to_be_wary_of(desk: Desk, base: Path) -> None:
    names = ["a\nb", "c\x1b[31m", "-rf", "*", "[x]", "e\u0301", "\u00e9", "\u202egnp"]
    make(base, *(f"in/{name}" for name in names))
    assert desk("glob", "*", "in") == sorted(names)
    assert desk("glob", "[*]", "in") == ["*"]
    if sys.platform == "linux":
        assert desk("glob", "\u00e9", "in") == ["\u00e9"]  # names are code points, composed or not
    try:
        (base / "in" / os.fsdecode(b"caf\xe9")).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    assert "the name `caf\\xe9` in it is not UTF-8" in desk.failure("glob", "c*", "in").message
    assert desk("glob", "*x*", "in") == ["[x]"]


@pytest.mark.parametrize(
    "name", ["a\nerror: all is lost", "\x1b[2J", "\u202egnp.exe", "`", "x" * 300, "a\u0301/\u00e1"]
)
def test_no_name_speaks_for_us(desk: Desk, base: Path, name: str) -> None:
    """``failure`` sees to it that every message is one printable line."""
    for folder in ("in", "elsewhere", "out/no"):
        path = f"{folder}/{name}"
        for call in (("read", path), ("digest", path), ("copy", path, path), ("read_json", path), ("read_csv", path)):
            desk.failure(*call)
        desk.failure("glob", "*", path)
        desk.failure("glob", f"{path}/*")
        desk.failure("copy", path, f"out/{name}/x")
        for call in (("write_json", path, 1), ("write_csv", path, [])):
            desk.failure(*call)
    assert os.listdir(base / "out") == []
    if len(name) < 100 and "/" not in name:
        desk("make_dir", f"out/{name}")
        desk("write_json", f"out/{name}/{name}", name)
        desk.failure("remove", f"out/{name}")
        desk.failure("read_csv", f"out/{name}", delimiter=name)
        assert desk.granted("read=out")("glob", "*/*", "out") == [f"{name}/{name}"]


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_VISITED", 20, "holds more than the 20 entries that one search looks at"),
        ("MAX_NAMES", 20, "holds more paths of this pattern than a value holds (20 paths"),
        ("MAX_NAMES_BYTES", 200, "holds more paths of this pattern than a value holds"),
        ("MAX_LEVELS", 2, "has more than 2 directories inside one another"),
    ],
)
def test_limits_of_a_search(
    desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str
) -> None:
    make(base, *(f"in/a/b/c/file-{number}" for number in range(21)))
    assert len(desk("glob", "**", "in")) == 24
    monkeypatch.setattr(glob, limit, value)
    failure = desk.failure("glob", "**", "in")
    assert failure.kind == "limit"
    assert message in failure.message
    assert desk("glob", "a/b/c/file-7", "in") == ["a/b/c/file-7"]


def test_the_most_that_is_found_fits_into_a_value() -> None:
    for path in ("x" * 60, "x" * 300, "x" * 70_000):
        count = min(glob.MAX_NAMES, glob.MAX_NAMES_BYTES // (len(path) + glob._BYTES_BESIDE_A_PATH))
        pack(ok([path] * count))


def test_a_large_directory(desk: Desk, base: Path) -> None:
    directory = os.open(base / "in", os.O_RDONLY)
    try:
        for number in range(20_000):
            os.close(os.open(f"{number:05}", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
    finally:
        os.close(directory)
    assert len(desk("glob", "*[05]", "in")) == 4_000
    assert desk("glob", "*9999", "in") == ["09999", "19999"]


@pytest.mark.skipif(AS_ROOT, reason="root may read everything")
def test_a_directory_that_cannot_be_read_is_told(desk: Desk, base: Path) -> None:
    make(base, "in/a/x", "in/closed/x")
    (base / "in" / "closed").chmod(0)
    try:
        assert "permission denied: closed in it" in desk.failure("glob", "**", "in").message
        assert desk("glob", "a/*", "in") == ["a/x"]
    finally:
        (base / "in" / "closed").chmod(0o700)


def test_a_directory_that_goes_while_it_is_searched(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(base, "in/a/x", "in/b/x", "in/c/x")
    real = glob._Search._enter_below

    def enter(self: glob._Search, parent: int, name: str, way: tuple[str, ...], positions: frozenset[int]) -> None:
        if way == ("a",):
            (base / "in" / "b" / "x").unlink()
            (base / "in" / "b").rmdir()
        if way == ("c",):
            (base / "in" / "c").rename(base / "in" / "moved")
            (base / "in" / "c").symlink_to("../elsewhere")
        real(self, parent, name, way, positions)

    monkeypatch.setattr(glob._Search, "_enter_below", enter)
    assert desk("glob", "**/*x*", "in") == ["a/x"]


# -- make_dir ------------------------------------------------------------------------------------------


def test_directories_are_made(desk: Desk, base: Path) -> None:
    assert desk("make_dir", "out/a/b/c") is True
    assert desk("make_dir", "out/a/b/c/") is False
    assert desk("make_dir", "out/a/d/") is True
    assert desk("make_dir", "out") is False
    assert (base / "out" / "a" / "b" / "c").is_dir()
    desk("write", "out/a/b/c/x", "x")
    (base / "out" / "l").symlink_to("a/new")
    assert desk("make_dir", "out/l/deep") is True
    assert (base / "out" / "a" / "new" / "deep").is_dir()


def test_directories_that_are_not_made(desk: Desk, base: Path) -> None:
    make(base, "out/file", "out/repository/.git/")
    (base / "out" / "l").symlink_to("../elsewhere")
    (base / "out" / "git").symlink_to("repository/.git")
    for path in ("in/x", "elsewhere/x", "out/l/x", "out/repository/.git/hooks", "out/git/hooks/x", "out/x/.GIT/y"):
        assert desk.failure("make_dir", path).kind == "denied", path
    assert desk.failure("make_dir", "out/file").message == (
        "cannot make `out/file`: something else than a directory has that name"
    )
    assert f"{base}/out/file is not a directory" in desk.failure("make_dir", "out/file/x").message
    assert os.listdir(base / "elsewhere") == ["secret.txt"]
    assert os.listdir(base / "out" / "repository" / ".git") == []
    guarded = desk.granted("write=out", deny=("write=out/no",))
    assert guarded.failure("make_dir", "out/no/x").kind == "denied"
    assert sorted(os.listdir(base / "out")) == ["file", "git", "l", "repository"]


def test_a_granted_directory_that_is_missing_is_made_and_none_above(desk: Desk, base: Path) -> None:
    early = desk.granted("write=out/late")
    assert early("make_dir", "out/late/x") is True
    above = desk.granted("write=out/no/late")
    assert f"the directory {base}/out/no does not exist" in above.failure("make_dir", "out/no/late/x").message
    assert "make_dir" not in above.failure("write", "out/no/late/x", "").message
    assert os.listdir(base / "out") == ["late"]


# -- remove --------------------------------------------------------------------------------------------


def test_what_is_removed(desk: Desk, base: Path) -> None:
    make(base, "out/file", "out/dir/", "out/full/x", "in/kept")
    (base / "out" / "l").symlink_to("../elsewhere")
    (base / "out" / "loop").symlink_to("loop")
    os.mkfifo(base / "out" / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(".", os.O_RDONLY)
        try:  # a socket's path may be 100 bytes long
            os.chdir(base / "out")
            server.bind("socket")
        finally:
            os.fchdir(here)
            os.close(here)
    for path in ("out/file", "out/dir/", "out/l", "out/loop", "out/pipe", "out/socket"):
        assert desk("remove", path) is True, path
        assert desk("remove", path) is False, path
    for path in ("out/no", "out/no/deep", "out/full/x/y"):
        assert desk("remove", path) is False
    failure = desk.failure("remove", "out/full")
    assert failure.message == "cannot remove `out/full`: the directory is not empty; remove what is in it first"
    assert os.listdir(base / "out") == ["full"]
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"


def test_what_is_not_removed(desk: Desk, base: Path) -> None:
    make(base, "in/x", "out/flowmetal.toml", "out/r/.git/hooks/pre-commit", "out/key", "out/tool")
    (base / "out" / "tool").chmod(0o755)
    (base / "out" / "git").symlink_to("r/.git")
    (base / "out" / "l").symlink_to("../elsewhere")
    os.link(base / "out" / "key", base / "out" / "second")
    guarded = desk.granted("read=out", "write=out", "exec=out/tool", deny=("write=out/key",))
    for path in (
        "in/x",
        "out/flowmetal.toml",
        "out/r/.git/hooks/pre-commit",
        "out/git/hooks/pre-commit",
        "out/l/secret.txt",
        "out/key",
        "out/second",
        "out/tool",
    ):
        assert guarded.failure("remove", path).kind == "denied", path
        assert guarded.failure("copy", "out/key", path).kind == "denied", path
        assert guarded.failure("write_json", path, 1).kind == "denied", path
        assert guarded.failure("write_csv", path, []).kind == "denied", path
        assert (base / path).exists()
    assert guarded.failure("remove", "out/../out/./tool").kind == "denied"
    failure = desk.failure("remove", "out/")
    assert (failure.kind, failure.message) == (
        "denied",
        f"cannot remove `out/`: it is the directory that write={base}/out grants",
    )


def test_a_granted_file_is_removed(desk: Desk, base: Path) -> None:
    make(base, "out/x", "out/y")
    one = desk.granted("write=out/x")
    assert one("remove", "out/x") is True
    assert one.failure("remove", "out/y").kind == "denied"


@pytest.mark.skipif(AS_ROOT, reason="root may write to everything")
def test_a_read_only_file_is_not_removed(desk: Desk, base: Path) -> None:
    make(base, "out/x")
    (base / "out" / "x").chmod(0o444)
    assert "permission denied" in desk.failure("remove", "out/x").message
    (base / "out" / "d").mkdir()
    (base / "out" / "d" / "y").touch()
    (base / "out" / "d").chmod(0o555)
    try:
        assert "permission denied" in desk.failure("remove", "out/d/y").message
        assert "permission denied" in desk.failure("make_dir", "out/d/z").message
    finally:
        (base / "out" / "d").chmod(0o755)


def test_somebody_else_is_faster(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(base, "out/x")
    real = os.unlink

    def twice(*args: object, **kwargs: object) -> None:
        real(*args, **kwargs)  # type: ignore[arg-type]
        real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "unlink", twice)
    assert desk("remove", "out/x") is False


def test_removal_is_durable(desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(base, "out/x")
    synced: list[int] = []
    real = os.fsync

    def sync(fd: int) -> None:
        assert stat.S_ISDIR(os.fstat(fd).st_mode)
        synced.append(os.fstat(fd).st_ino)
        real(fd)

    monkeypatch.setattr(os, "fsync", sync)
    desk("remove", "out/x")
    desk("make_dir", "out/a/b")
    outer = (base / "out").stat().st_ino
    assert synced == [outer, outer, (base / "out" / "a").stat().st_ino]


def test_no_descriptor_stays_open(desk: Desk, base: Path, open_files: Callable[[], int]) -> None:
    make(base, "in/a/b/c", "out/full/x")
    (base / "in" / "l").symlink_to("/etc")
    before = open_files()
    for call in (
        ("stat", "in/a"),
        ("stat", "in/no/no"),
        ("glob", "**", "in"),
        ("glob", "a/b/c", "in"),
        ("make_dir", "out/p/q/r"),
        ("remove", "out/p/q/r"),
        ("remove", "out/no/no"),
    ):
        desk(*call)
    for call in (
        ("stat", "in/l/passwd"),
        ("glob", "*", "in/a/b/c"),
        ("make_dir", "out/full/x"),
        ("remove", "out/full"),
    ):
        desk.failure(*call)
    assert open_files() == before
