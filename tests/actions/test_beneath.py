"""Links: followed inside a grant, never out of it, whoever changes what meanwhile."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.actions import EffectFailure
from flowmetal.actions.beneath import MAX_LINKS, reach
from flowmetal.actions.place import Place
from flowmetal.permissions import Allowed, Grant, GrantSet, Want, decide
from tests.actions.desk import Desk


def make_tree(base: Path) -> None:
    (base / "in" / "a" / "b").mkdir(parents=True)
    (base / "in" / "a" / "b" / "x").write_text("x")
    (base / "in" / "y").write_text("y")


@pytest.mark.parametrize(
    ("link", "target", "path", "text"),
    [
        ("in/l", "y", "in/l", "y"),
        ("in/l", "./y", "in/l", "y"),
        ("in/l", "a/b", "in/l/x", "x"),
        ("in/l", "a/b/", "in/l/x", "x"),
        ("in/a/l", "../y", "in/a/l", "y"),
        ("in/a/b/l", "../../y", "in/a/b/l", "y"),
        ("in/a/l", "b/../../y", "in/a/l", "y"),
        ("in/l", "a/b/../b/x", "in/l", "x"),
        ("in/l", "BASE/in/a", "in/l/b/x", "x"),
        ("in/l", "BASE/in/a/../y", "in/l", "y"),
        ("in/l", "../in/y", "in/l", "y"),
        ("in/a/l", "../../in/a/b", "in/a/l/x", "x"),
        ("in/l", ".", "in/l/l/l/y", "y"),
    ],
)
def test_a_link_inside_is_followed(desk: Desk, base: Path, link: str, target: str, path: str, text: str) -> None:
    make_tree(base)
    (base / link).symlink_to(target.replace("BASE", str(base)))
    assert desk("read", path) == text


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("BASE/elsewhere", "in/l/secret.txt"),
        ("BASE/elsewhere/secret.txt", "in/l"),
        ("../elsewhere/secret.txt", "in/l"),
        ("..", "in/l/elsewhere/secret.txt"),
        ("a/../../elsewhere", "in/l/secret.txt"),
        ("BASE/in/../elsewhere/secret.txt", "in/l"),
        ("BASE/in2", "in/l/secret.txt"),
        ("/", "in/l/etc/passwd"),
        ("/etc/passwd", "in/l"),
        ("../../../../../../../../../../etc", "in/l/passwd"),
        ("/proc/self/root/etc/passwd", "in/l"),
        ("/proc/self/fd/0", "in/l"),
        ("/dev/fd/0", "in/l"),
        ("a/../..", "in/l"),
    ],
)
def test_a_link_that_leads_out_is_denied(desk: Desk, base: Path, target: str, path: str) -> None:
    make_tree(base)
    (base / "in2").mkdir()
    (base / "in2" / "secret.txt").write_text("secret")
    target = target.replace("BASE", str(base))
    (base / "in" / "l").symlink_to(target)
    failure = desk.failure("read", path)
    assert failure.kind == "denied"
    assert f"{base}/in/l is a symlink to {target}, which leads out of the grant read={base}/in;" in failure.message


def test_a_link_to_a_link_is_judged_by_its_end(desk: Desk, base: Path) -> None:
    make_tree(base)
    (base / "in" / "first").symlink_to("second")
    (base / "in" / "second").symlink_to("a")
    assert desk("read", "in/first/b/x") == "x"
    (base / "in" / "second").unlink()
    (base / "in" / "second").symlink_to("../elsewhere")
    assert f"{base}/in/second is a symlink to ../elsewhere" in desk.failure("read", "in/first/secret.txt").message


def test_up_after_a_link_is_up_from_its_target(desk: Desk, base: Path) -> None:
    """``l/..`` in a link's target means what the kernel means, not what the text looks like."""
    make_tree(base)
    (base / "in" / "deep").symlink_to("a/b")
    (base / "in" / "l").symlink_to("deep/../b/x")
    assert desk("read", "in/l") == (base / "in" / "l").read_text() == "x"


def test_links_are_followed_so_often_and_no_more(desk: Desk, base: Path) -> None:
    make_tree(base)
    last = "y"
    for number in range(MAX_LINKS):
        (base / "in" / f"l{number}").symlink_to(last)
        last = f"l{number}"
    assert desk("read", f"in/{last}") == "y"
    (base / "in" / "more").symlink_to(last)
    failure = desk.failure("read", "in/more")
    assert (failure.kind, failure.details) == ("effect", {"dict": ["path", "in/more", "errno", "ELOOP"]})


def test_writing_through_a_link_replaces_its_target(desk: Desk, base: Path) -> None:
    (base / "out" / "dir").mkdir()
    (base / "out" / "dir" / "real").write_text("old")
    (base / "out" / "l").symlink_to("dir/real")
    (base / "out" / "new").symlink_to("dir/made")
    desk("write", "out/l", "new")
    desk("append", "out/l", "er")
    desk("write", "out/new", "made")
    assert (base / "out" / "l").is_symlink()
    assert not (base / "out" / "dir" / "real").is_symlink()
    assert (base / "out" / "dir" / "real").read_text() == "newer"
    assert (base / "out" / "dir" / "made").read_text() == "made"
    assert sorted(os.listdir(base / "out")) == ["dir", "l", "new"]


@pytest.mark.parametrize("target", ["repository/.git/hooks", "repository/.git"])
def test_a_link_to_what_is_never_written_is_denied(desk: Desk, base: Path, target: str) -> None:
    (base / "out" / "repository" / ".git" / "hooks").mkdir(parents=True)
    (base / "out" / "l").symlink_to(target)
    (base / "out" / "config").symlink_to("flowmetal.toml")
    for path in ("out/l/pre-commit", "out/config", "out/repository/.git/config", "out/flowmetal.lock"):
        assert desk.failure("write", path, "evil").kind == "denied"
        assert desk.failure("append", path, "evil").kind == "denied"
    assert [names for *_, names in os.walk(base / "out" / "repository") if names] == []
    assert sorted(os.listdir(base / "out")) == ["config", "l", "repository"]


def test_writing_through_a_link_that_leads_out_is_denied(desk: Desk, base: Path) -> None:
    (base / "out" / "l").symlink_to("../elsewhere/secret.txt")
    (base / "out" / "d").symlink_to("../elsewhere")
    for path in ("out/l", "out/d/secret.txt", "out/d/made"):
        assert desk.failure("write", path, "evil").kind == "denied"
        assert desk.failure("append", path, "evil").kind == "denied"
    assert os.listdir(base / "elsewhere") == ["secret.txt"]
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"


def test_the_granted_directory_must_stay_what_it_was(desk: Desk, base: Path) -> None:
    (base / "out").rmdir()
    (base / "out").symlink_to("elsewhere")
    for path in ("out/secret.txt", "out/made"):
        failure = desk.failure("write", path, "evil")
        assert failure.kind == "denied"
        assert f"which it was not when write={base}/out was granted" in failure.message
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"
    assert desk.failure("list_dir", "out").kind == "denied"


def test_a_directory_above_the_grant_must_stay_too(desk: Desk, base: Path) -> None:
    (base / "top" / "sub").mkdir(parents=True)
    (base / "other" / "sub").mkdir(parents=True)
    (base / "other" / "sub" / "x").write_text("secret")
    narrow = desk.granted("read=top/sub")
    (base / "top").rename(base / "gone")
    (base / "top").symlink_to("other")
    assert narrow.failure("read", "top/sub/x").kind == "denied"


def test_a_grant_given_through_a_link_is_good_under_both_names(desk: Desk, base: Path) -> None:
    make_tree(base)
    (base / "alias").symlink_to("in")
    (base / "in" / "l").symlink_to(base / "alias" / "y")
    aliased = desk.granted("read=alias")
    assert aliased("read", "alias/y") == "y"
    assert aliased("read", "in/y") == "y"
    assert aliased("read", "in/l") == "y"
    assert aliased("list_dir", "alias") == aliased("list_dir", "in")
    (base / "alias").unlink()  # the name was resolved when granting: nobody moves the grant afterwards
    (base / "alias").symlink_to("elsewhere")
    assert aliased("read", "alias/y") == "y"
    assert aliased.failure("read", "alias/secret.txt").kind == "effect"


# -- fences --------------------------------------------------------------------------------------------


def test_a_denied_directory_is_closed_by_every_way(desk: Desk, base: Path) -> None:
    make_tree(base)
    (base / "in" / "l").symlink_to("a/b")
    (base / "in" / "direct").symlink_to("a/b/x")
    (base / "in" / "through").symlink_to("a/b/../../y")
    guarded = desk.granted("read=in", deny=("read=in/a/b",))
    for path in ("in/a/b/x", "in/l/x", "in/direct", "in/through"):
        assert guarded.failure("read", path).kind == "denied"
    for path in ("in/a/b", "in/l"):
        assert guarded.failure("list_dir", path).kind == "denied"
    assert guarded("read", "in/y") == "y"
    assert guarded("list_dir", "in/a") == ["b"]
    assert f"it lies in {base}/in/a/b, which is denied" in guarded.failure("read", "in/l/x").message


def test_a_denied_directory_that_was_moved_is_still_denied(desk: Desk, base: Path) -> None:
    make_tree(base)
    (base / "in" / "entry").symlink_to("a/b")
    guarded = desk.granted("read=in", deny=("read=in/entry",))
    assert guarded.failure("read", "in/a/b/x").kind == "denied"
    assert guarded.failure("read", "in/entry/x").kind == "denied"


def test_a_denied_file_is_recognised_under_a_second_hard_link(desk: Desk, base: Path) -> None:
    make_tree(base)
    os.link(base / "in" / "y", base / "in" / "z")
    guarded = desk.granted("read=in", "write=in", deny=("read=in/y", "write=in/y"))
    for name in ("in/y", "in/z"):
        assert guarded.failure("read", name).kind == "denied"
        assert guarded.failure("append", name, "more").kind == "denied"
        assert guarded.failure("write", name, "other").kind == "denied"
        assert guarded.failure("copy", name, "in/new").kind == "denied"
        assert guarded.failure("copy", "in/a/b/x", name).kind == "denied"
        assert guarded.failure("digest", name).kind == "denied"
        assert guarded.failure("stat", name).kind == "denied"
        assert guarded.failure("remove", name).kind == "denied"
    assert guarded("glob", "*", "in") == ["a"]
    assert (base / "in" / "y").read_text() == (base / "in" / "z").read_text() == "y"


def test_a_hard_link_is_the_file_itself(desk: Desk, base: Path) -> None:
    """The honest limit: no path tells a second name of a file; ``write`` at least leaves the other name alone."""
    secret = base / "elsewhere" / "secret.txt"
    os.link(secret, base / "out" / "hard")
    assert desk("read", "out/hard") == "secret"
    desk("write", "out/hard", "mine")
    assert secret.read_text() == "secret"


def test_a_protected_directory_is_closed_by_every_way(desk: Desk, base: Path) -> None:
    home = base / "out" / "home"
    home.mkdir()
    (home / "journal").write_text("truth")
    (base / "out" / "l").symlink_to("home/journal")
    (base / "out" / "d").symlink_to("home")
    guarded = desk.granted("read=/", "write=/", protected=(str(home),))
    for path in ("out/home/journal", "out/l", "out/d/journal", "out/home", "out/d", "out/home/x/../journal"):
        assert guarded.failure("read", path).kind == "denied"
        assert guarded.failure("write", path, "lies").kind == "denied"
        assert guarded.failure("append", path, "lies").kind == "denied"
        assert guarded.failure("list_dir", path).kind == "denied"
        assert guarded.failure("copy", path, "in/x").kind == "denied"
        assert guarded.failure("copy", "elsewhere/secret.txt", path).kind == "denied"
        assert guarded.failure("digest", path).kind == "denied"
        assert guarded.failure("glob", "*", path).kind == "denied"
        assert guarded.failure("make_dir", f"{path}/more").kind == "denied"
    for path in ("out/home/journal", "out/d/journal", "out/home"):
        assert guarded.failure("remove", path).kind == "denied"
        assert guarded.failure("stat", path).kind == "denied"
    assert guarded("glob", "out/**") == ["out/d", "out/l"]
    assert os.listdir(home) == ["journal"]
    assert (home / "journal").read_text() == "truth"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize(
    "target", ["/proc/self/environ", "/proc", "/proc/thread-self/root/etc/passwd", "/dev/fd", "/dev/null", "/sys"]
)
def test_the_kernels_views_are_closed_even_through_links(desk: Desk, base: Path, target: str) -> None:
    whole = desk.granted("read=/", "write=/")
    (base / "in" / "l").symlink_to(target)
    for path in ("in/l", target):
        for call in (
            ("read", path),
            ("list_dir", path),
            ("digest", path),
            ("copy", path, "out/x"),
            ("glob", "*", path),
        ):
            assert whole.failure(*call).kind == "denied"
    assert whole.failure("stat", target).kind == "denied"


def test_a_denied_file_that_does_not_exist_yet_is_not_made_through_a_link(desk: Desk, base: Path) -> None:
    (base / "out" / "l").symlink_to("hook")
    guarded = desk.granted("write=out", deny=("write=out/hook",))
    assert guarded.failure("write", "out/l", "x").kind == "denied"
    assert guarded.failure("append", "out/l", "x").kind == "denied"
    assert os.listdir(base / "out") == ["l"]


# -- races ---------------------------------------------------------------------------------------------


def test_swapping_a_directory_for_a_link_never_lets_a_write_out(
    desk: Desk, base: Path, open_files: Callable[[], int]
) -> None:
    """A thread swaps ``out/d`` between a directory and a link to ``elsewhere`` while effects go on."""
    real, link, name = base / "out" / "real", base / "out" / "link", base / "out" / "d"
    real.mkdir()
    link.symlink_to("../elsewhere")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            real.rename(name)
            name.rename(real)
            link.rename(name)
            name.rename(link)

    before = open_files()
    outcomes: dict[str, int] = {}
    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        end = time.monotonic() + 1.2
        number = 0
        while time.monotonic() < end:
            number += 1
            for call in (
                ("write", f"out/d/w{number % 7}", "text"),
                ("append", "out/d/log", "line\n"),
                ("read", "out/d/secret.txt"),
            ):
                try:
                    desk(*call)
                    outcome = f"{call[0]} ok"
                except EffectFailure as failure:
                    outcome = f"{call[0]} {failure.kind}"
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
    finally:
        stop.set()
        swapping.join()
    assert "read ok" not in outcomes
    assert outcomes.get("write ok"), outcomes
    assert outcomes.get("write denied"), outcomes  # both sides of the race were seen
    assert os.listdir(base / "elsewhere") == ["secret.txt"]
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"
    assert not [found for found in os.listdir(real) if found.endswith(".tmp")]
    assert open_files() == before


def test_swapping_the_file_for_a_link_never_lets_a_write_out(desk: Desk, base: Path) -> None:
    name, link = base / "out" / "f", base / "out" / "link"
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.symlink("../elsewhere/secret.txt", link)
            link.rename(name)

    swapping = threading.Thread(target=swap)
    swapping.start()
    kinds = set()
    try:
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            for call in (("write", "out/f", "mine"), ("append", "out/f", "evil"), ("read", "out/f")):
                try:
                    value = desk(*call)
                    assert value is None or "secret" not in value
                    kinds.add("ok")
                except EffectFailure as failure:
                    kinds.add(failure.kind)
    finally:
        stop.set()
        swapping.join()
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"
    assert "denied" in kinds
    assert kinds <= {"ok", "denied", "effect"}


def test_swapping_a_directory_for_a_link_never_lets_any_effect_out(
    desk: Desk, base: Path, open_files: Callable[[], int]
) -> None:
    """As above, for what copies, removes, looks and searches."""
    real, link, name = base / "out" / "real", base / "out" / "link", base / "out" / "d"
    real.mkdir()
    link.symlink_to("../elsewhere")
    (base / "in" / "source").write_text("source")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            real.rename(name)
            name.rename(real)
            link.rename(name)
            name.rename(link)

    before = open_files()
    kinds: dict[str, set[str]] = {}
    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            for call in (
                ("copy", "in/source", "out/d/copied"),
                ("copy", "out/d/secret.txt", "out/stolen"),
                ("digest", "out/d/secret.txt"),
                ("write_json", "out/d/json", 1),
                ("write_csv", "out/d/csv", [[1]]),
                ("remove", "out/d/copied"),
                ("remove", "out/d/secret.txt"),
                ("stat", "out/d/secret.txt"),
                ("glob", "*", "out/d"),
                ("glob", "**/secret*", "out"),
            ):
                try:
                    value = desk(*call)
                    kinds.setdefault(call[0], set()).add("ok")
                    assert call[0] != "stat" or value is None
                    assert call[0] != "glob" or not [path for path in value if "secret" in path]
                    assert call != ("remove", "out/d/secret.txt") or value is False
                except EffectFailure as failure:
                    kinds.setdefault(call[0], set()).add(failure.kind)
    finally:
        stop.set()
        swapping.join()
    assert "ok" not in kinds["digest"]
    for effect in ("copy", "glob"):
        assert {"ok", "denied"} <= kinds[effect], kinds  # both sides of the race were seen
    assert os.listdir(base / "elsewhere") == ["secret.txt"]
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"
    assert not (base / "out" / "stolen").exists()
    assert not [found for found in os.listdir(real) if found.endswith(".tmp")]
    assert open_files() == before


def test_swapping_a_file_for_a_link_never_lets_a_copy_out(desk: Desk, base: Path) -> None:
    name, link, mine = base / "out" / "f", base / "out" / "link", base / "out" / "mine"
    (base / "in" / "source").write_text("source")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.symlink("../elsewhere/secret.txt", link)
            link.rename(name)
            mine.write_text("mine")
            mine.rename(name)

    swapping = threading.Thread(target=swap)
    swapping.start()
    kinds = set()
    try:
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            for call in (("copy", "out/f", "out/taken"), ("copy", "in/source", "out/f"), ("remove", "out/f")):
                try:
                    desk(*call)
                    kinds.add("ok")
                except EffectFailure as failure:
                    kinds.add(failure.kind)
            if (base / "out" / "taken").exists():
                assert (base / "out" / "taken").read_text() in ("", "mine", "source")
    finally:
        stop.set()
        swapping.join()
    assert (base / "elsewhere" / "secret.txt").read_text() == "secret"
    assert {"ok", "denied"} <= kinds <= {"ok", "denied", "effect"}


def test_a_directory_that_is_swapped_as_soon_as_it_is_made(
    desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.mkdir

    def mkdir(name: str, *args: int, **kwargs: int) -> None:
        real(name, *args, **kwargs)
        (base / "out" / "a").rmdir()
        (base / "out" / "a").symlink_to("../elsewhere")

    monkeypatch.setattr(os, "mkdir", mkdir)
    for path in ("out/a/b", "out/a"):
        failure = desk.failure("make_dir", path)
        assert (failure.kind, "not a directory" in failure.message) == ("effect", True)
        (base / "out" / "a").unlink()
    assert os.listdir(base / "elsewhere") == ["secret.txt"]


def allowed_to_write(desk: Desk, path: Path) -> Allowed:
    decision = decide(desk.grants, Want("write", str(path), "write"))
    assert isinstance(decision, Allowed)
    return decision


def test_a_name_that_becomes_a_link_after_the_walk_is_not_followed(
    desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reach(allowed_to_write(desk, base / "out" / "x"), "write", "out/x") as place:
        monkeypatch.setattr(Place, "look", lambda _: None)  # the link comes right after the look
        (base / "out" / "x").symlink_to("../elsewhere/secret.txt")
        with pytest.raises(OSError, match="Too many levels"):
            place.open_regular(os.O_WRONLY | os.O_CREAT)
        (base / "out" / "x").unlink()
        (base / "out" / "x").symlink_to("../elsewhere")
        with pytest.raises(OSError, match=r"Too many levels|Not a directory"):
            place.open_directory()


def test_a_name_that_becomes_a_pipe_after_the_look_is_no_file(
    desk: Desk, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reach(allowed_to_write(desk, base / "out" / "x"), "read", "out/x") as place:
        monkeypatch.setattr(Place, "look", lambda _: None)
        os.mkfifo(base / "out" / "x")
        with pytest.raises(EffectFailure, match="it is a pipe"):
            place.open_regular(os.O_RDONLY)


def test_a_directory_that_is_moved_after_the_walk_is_still_the_one_checked(desk: Desk, base: Path) -> None:
    (base / "out" / "d").mkdir()
    with reach(allowed_to_write(desk, base / "out" / "d" / "x"), "write", "out/d/x") as place:
        (base / "out" / "d").rename(base / "out" / "moved")
        (base / "out" / "d").symlink_to("../elsewhere")
        fd, _ = place.open_regular(os.O_WRONLY | os.O_CREAT)
        os.close(fd)
    assert os.listdir(base / "out" / "moved") == ["x"]
    assert os.listdir(base / "elsewhere") == ["secret.txt"]


@pytest.mark.skipif(sys.platform != "darwin", reason="only macOS takes two spellings for one name")
def test_names_are_compared_as_the_file_system_does(desk: Desk, base: Path) -> None:
    (base / "in" / "Private").mkdir()
    (base / "in" / "Private" / "x").write_text("secret")
    grants = GrantSet((Grant("read", str(base / "in")),), (Grant("read", str(base / "in" / "Private")),))
    guarded = Desk(base, grants)
    assert guarded.failure("read", "in/pRIVATE/x").kind == "denied"
