"""Trust in project files: real files, real links, several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.errors import HomeError, UsageError
from flowmetal.permissions import Grant
from flowmetal.trust import MAX_PROJECT_BYTES, Trust, find_project, read_project

CHECKOUT = Path(__file__).absolute().parents[1]


def project(folder: Path, text: str = '[grants]\nread = ["data"]\n') -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "flowmetal.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_trust_is_in_the_content_and_the_place(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "home")
    path = project(tmp_path / "one")
    assert trust.state_of(read_project(str(path))) == "untrusted"
    trust.add(read_project(str(path)))
    assert Trust(tmp_path / "home").state_of(read_project(str(path))) == "trusted"
    copy = project(tmp_path / "two")
    assert trust.state_of(read_project(str(copy))) == "untrusted"
    path.write_text(path.read_text() + " ")
    assert trust.state_of(read_project(str(path))) == "changed"
    assert trust.remove(os.path.realpath(path))
    assert not trust.remove(os.path.realpath(path))
    assert trust.state_of(read_project(str(path))) == "untrusted"


def test_the_folder_may_be_reached_by_a_link_and_the_file_not(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "home")
    path = project(tmp_path / "real")
    trust.add(read_project(str(path)))
    (tmp_path / "link").symlink_to("real")
    through = read_project(str(tmp_path / "link" / "flowmetal.toml"))
    assert trust.state_of(through) == "trusted"
    base = os.path.realpath(tmp_path)
    assert through.grants().allow == (Grant("read", f"{base}/real/data"),)
    # Another project must not take these grants over by a link to their file.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "flowmetal.toml").symlink_to(path)
    with pytest.raises(UsageError) as caught:
        read_project(str(tmp_path / "other" / "flowmetal.toml"))
    assert "a link is never trusted" in caught.value.message


def test_the_list_is_private_and_whole(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "home")
    trust.add(read_project(str(project(tmp_path / "one"))))
    listed = tmp_path / "home" / "trusted.json"
    assert listed.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert list(json.loads(listed.read_text())["trusted"]) == [os.path.realpath(tmp_path / "one" / "flowmetal.toml")]
    assert sorted(each.name for each in (tmp_path / "home").iterdir()) == ["trusted.json", "trusted.lock"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"trusted": 3}', '{"trusted": {"/x": 3}}', "[" * 100_000])
def test_a_damaged_list_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "trusted.json").write_text(content)
    (tmp_path / "trusted.json").chmod(0o600)
    with pytest.raises(HomeError) as caught:
        Trust(tmp_path).trusted()
    assert caught.value.place == str(tmp_path / "trusted.json")


def test_a_list_that_others_could_write_is_not_believed(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    trust.add(read_project(str(project(tmp_path / "one"))))
    (tmp_path / "trusted.json").chmod(0o666)
    with pytest.raises(HomeError) as caught:
        trust.trusted()
    assert "only you can write" in caught.value.message
    (tmp_path / "trusted.json").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o600)
    (tmp_path / "trusted.json").symlink_to("elsewhere")
    with pytest.raises(HomeError):
        trust.trusted()
    (tmp_path / "trusted.json").unlink()
    os.mkfifo(tmp_path / "trusted.json", 0o600)
    with pytest.raises(HomeError):
        trust.trusted()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[grants]\nx = \xff\n", "is not UTF-8"),
        (b"[grants\n", "it is not TOML: "),
        (b"[grants]\nread = [\n", "it is not TOML: "),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"[grants]\nnett = []\n", "did you mean `net`"),
        (b'[grants]\nexec = ["./no-such-program"]\n', "there is no program"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "flowmetal.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_project(str(path)).grants()
    assert message in caught.value.message
    assert caught.value.place == os.path.realpath(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "flowmetal.toml"
    with pytest.raises(UsageError):
        read_project(str(path))
    path.write_bytes(b"#" * (MAX_PROJECT_BYTES + 1))
    with pytest.raises(UsageError) as caught:
        read_project(str(path))
    assert "more than 1,048,576 bytes" in caught.value.message
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UsageError) as caught:
        read_project(str(path))
    assert "not a regular file" in caught.value.message


def test_the_nearest_file_upward_is_the_project(tmp_path: Path) -> None:
    outer = project(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_project(str(tmp_path / "a" / "b")) == os.path.realpath(outer)
    inner = project(tmp_path / "a")
    assert find_project(str(tmp_path / "a" / "b")) == os.path.realpath(inner)


def test_processes_that_trust_at_once_lose_nothing(tmp_path: Path) -> None:
    paths = [project(tmp_path / f"p{number}") for number in range(6)]
    code = (
        "import sys, pathlib, flowmetal.trust as t; t.Trust(pathlib.Path(sys.argv[1])).add(t.read_project(sys.argv[2]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "home"), str(path)], env=environment)
        for path in paths
    ]
    assert [process.wait(60) for process in started] == [0] * len(paths)
    assert list(Trust(tmp_path / "home").trusted()) == sorted(os.path.realpath(path) for path in paths)
