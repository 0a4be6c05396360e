"""``flowmetal pkg``: what people do with the packages of a project."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from flowmetal.cli import project_packages
from flowmetal.cli.main import run
from flowmetal.packages.files import turn_in
from tests.packages.registry import DEPLOY, HOST, NOTIFY, files_of, list_document, publish, put

Pkg = Callable[..., tuple[int, str, str]]
MANIFEST = f"""# what we need
[requires]   # least versions

# where from
[[registry]]
prefix = "{HOST}"
url = "file:../registry"
"""


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    root = tmp_path / "registry"
    put(root, NOTIFY, "1.0.0")
    put(root, NOTIFY, "1.1.0")
    put(root, DEPLOY, "1.0.0", {NOTIFY: "1.0.0"}, tables='[permissions]\nread = ["."]')
    put(root, DEPLOY, "1.1.0-rc.1")
    return root


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "flowmetal.toml").write_text(MANIFEST)
    monkeypatch.chdir(folder)
    for name, value in (("CACHE", "cache"), ("HOME", "home"), ("REGISTRIES", "none.toml")):
        monkeypatch.setenv(f"FLOWMETAL_{name}", str(tmp_path / value))
    return folder


@pytest.fixture
def pkg(registry: Path, project: Path, capsys: pytest.CaptureFixture[str]) -> Pkg:
    def call(*args: str) -> tuple[int, str, str]:
        code = run(["pkg", *args])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return code, told.out, told.err

    return call


def test_from_the_first_package_to_the_last(pkg: Pkg, project: Path, registry: Path) -> None:
    code, out, err = pkg("add", DEPLOY)
    assert (code, out) == (0, ""), err
    assert f"flowmetal.lock: {DEPLOY} 1.0.0 sha256:" in err
    assert "its code may need read=." in err
    text = (project / "flowmetal.toml").read_text()
    assert f'[requires]   # least versions\n"{DEPLOY}" = "1.0.0"' in text
    assert "# where from" in text
    assert pkg("why", NOTIFY)[1] == f"flowmetal.toml → {DEPLOY} 1.0.0 → {NOTIFY} 1.0.0\n"
    assert pkg("tree")[1] == f"{DEPLOY} 1.0.0  may need read=.\n  {NOTIFY} 1.0.0\n"
    assert [each["version"] for each in json.loads(pkg("tree", "--json")[1])] == ["1.0.0", "1.0.0"]
    assert pkg("verify") == (0, "2 packages are what the lock says\n", "")
    # Another way to it, and then the first one goes.
    assert pkg("add", f"{NOTIFY}@1.1.0")[0] == 0
    assert pkg("why", NOTIFY)[1].splitlines() == [
        f"flowmetal.toml → {NOTIFY} 1.1.0",
        f"flowmetal.toml → {DEPLOY} 1.0.0 → {NOTIFY} 1.0.0",
    ]
    code, _, err = pkg("remove", DEPLOY)
    assert (code, err) == (0, f"flowmetal.lock: {DEPLOY} is not needed any more\n")
    assert (project / "flowmetal.toml").read_text().count(HOST + "/") == 1
    assert pkg("remove", NOTIFY)[0] == 0
    assert "[[package]]" not in (project / "flowmetal.lock").read_text()


def test_a_name_that_is_almost_another(pkg: Pkg, registry: Path) -> None:
    twin, line = f"{HOST}/v1/deploi", f"{HOST}/v2/deploy"
    put(registry, twin, "1.0.0")
    put(registry, line, "2.0.0")
    assert pkg("add", DEPLOY)[0] == 0
    code, _, err = pkg("add", twin)
    assert (code, f"{twin} is almost the name of {DEPLOY}" in err) == (0, True)
    code, _, err = pkg("add", line)
    assert (code, f"{line} is almost the name of {DEPLOY}" in err) == (0, False)


def test_an_update_that_may_do_more_is_refused_until_it_is_accepted(
    pkg: Pkg, project: Path, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pkg("add", DEPLOY)[0] == 0
    before = {path.name: path.read_text() for path in project.iterdir()}
    put(registry, DEPLOY, "1.2.0", {NOTIFY: "1.1.0"}, tables='[permissions]\nread = ["."]\nnet = ["example.org"]')
    code, _, err = pkg("update")
    assert code == 2
    assert "may need more than was accepted of 1.0.0: net=example.org" in err
    assert f"flowmetal pkg update --accept {DEPLOY}" in err
    assert {path.name: path.read_text() for path in project.iterdir()} == before
    monkeypatch.setattr(project_packages, "is_asked_here", lambda: True)
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, **more: asked.append(text))
    assert pkg("update")[0] == 2
    assert "may need more than was accepted of 1.0.0: net=example.org\naccept it?" in asked[0]
    assert {path.name: path.read_text() for path in project.iterdir()} == before
    code, _, err = pkg("update", "--accept", DEPLOY[:-1])
    assert (code, f"did you mean `{DEPLOY}`?" in err) == (2, True)
    assert {path.name: path.read_text() for path in project.iterdir()} == before
    code, _, err = pkg("update", "--accept", DEPLOY)
    assert code == 0
    assert f"{DEPLOY} 1.0.0 → 1.2.0" in err
    assert f"{NOTIFY} 1.0.0 → 1.1.0" in err
    assert f'"{DEPLOY}" = "1.2.0"' in (project / "flowmetal.toml").read_text()
    assert pkg("update") == (0, "", "")


def test_what_goes_wrong_changes_nothing(pkg: Pkg, project: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_text() for path in project.iterdir()}
    rows = [
        (("add", f"{HOST}/v1/nobody"), 8, "there is no package"),
        (("add", f"{DEPLOY}@1.5.0"), 8, "has no version 1.5.0"),
        (("add", f"{DEPLOY}//lib.flow"), 2, "more than a package and a version"),
        (("add", "deploy"), 2, "begins with no host"),
        (("remove", DEPLOY), 2, "does not require"),
        (("why", DEPLOY), 2, "nothing here needs"),
    ]
    for args, expected, says in rows:
        code, _, err = pkg(*args)
        assert (code, says in err) == (expected, True), (args, err)
        assert {path.name: path.read_text() for path in project.iterdir()} == before
    (project / "flowmetal.toml").unlink()
    for args in (("tree",), ("why", DEPLOY), ("verify",), ("vendor",), ("update",), ("remove", DEPLOY)):
        code, _, err = pkg(*args)
        assert (code, "there is no flowmetal.toml here" in err) == (2, True), (args, err)
    assert pkg("add", f"{HOST}/v1/nobody", "--offline")[0] == 7
    assert list(project.iterdir()) == []


def test_two_who_add_at_once(project: Path, registry: Path) -> None:
    command = [sys.executable, "-m", "flowmetal", "pkg", "add"]
    with turn_in(project):
        adding = [subprocess.Popen([*command, f"{package}@1.0.0"]) for package in (DEPLOY, NOTIFY)]
        with pytest.raises(subprocess.TimeoutExpired):
            adding[0].wait(0.7)
    assert [each.wait() for each in adding] == [0, 0]
    text = (project / "flowmetal.toml").read_text()
    assert (f'"{DEPLOY}" = "1.0.0"' in text, f'"{NOTIFY}" = "1.0.0"' in text) == (True, True), text


def test_verify_finds_what_was_yanked_or_changed(pkg: Pkg, registry: Path) -> None:
    assert pkg("add", NOTIFY)[0] == 0
    document = publish(registry, files_of(NOTIFY, "1.1.0"), NOTIFY)
    list_document(registry, document, yanked=True)
    code, _, err = pkg("verify")
    assert (code, "was yanked" in err) == (1, True)
    put(registry, NOTIFY, "1.1.0", lib="evil = True\n")
    code, _, err = pkg("verify")
    assert (code, document.tree in err) == (9, True)


def test_vendor_makes_a_project_that_needs_nothing_else(
    pkg: Pkg, project: Path, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pkg("add", DEPLOY)[0] == 0
    code, _, err = pkg("vendor")
    assert (code, err.splitlines()) == (0, [f"vendor: {DEPLOY} 1.0.0", f"vendor: {NOTIFY} 1.0.0"])
    assert pkg("vendor", "--offline") == (0, "", "")
    shutil.rmtree(registry)
    monkeypatch.setenv("FLOWMETAL_CACHE", str(tmp_path / "other-cache"))
    code, out, err = pkg("verify", "--offline")
    assert (code, out) == (0, "2 packages are what the lock says\n"), err
    # The lock decides, wherever the bytes come from.
    archive = next((project / "vendor").rglob("*.tar.gz"))
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    monkeypatch.setenv("FLOWMETAL_CACHE", str(tmp_path / "third-cache"))
    code, _, err = pkg("verify", "--offline")
    assert (code, "its document says" in err, "`flowmetal pkg vendor` writes it again" in err) == (9, True, True), err
    # Who has the files elsewhere has them written again.
    monkeypatch.setenv("FLOWMETAL_CACHE", str(tmp_path / "cache"))
    code, _, err = pkg("vendor", "--offline")
    assert (code, "which was missing or damaged" in err) == (0, True), err
    monkeypatch.setenv("FLOWMETAL_CACHE", str(tmp_path / "third-cache"))
    assert pkg("verify", "--offline")[0] == 0


def test_the_cache(pkg: Pkg, tmp_path: Path) -> None:
    assert pkg("cache", "ls") == (0, "", "")
    assert pkg("add", DEPLOY)[0] == 0
    listed = pkg("cache", "ls")[1].splitlines()
    assert sorted(line.split()[-2:] for line in listed) == [[DEPLOY, "1.0.0"], [NOTIFY, "1.0.0"]]
    assert pkg("cache", "gc")[1] == "removed 0 files of 0 bytes\n"
    blob = next(path for path in (tmp_path / "cache" / "blob").rglob("*") if path.is_file())
    blob.chmod(0o644)
    blob.write_bytes(b"evil")
    code, out, _ = pkg("cache", "verify")
    assert (code, f"damaged: {blob}" in out) == (3, True)
    assert pkg("cache", "gc", "--unused", "0s")[0] == 0
    assert pkg("cache", "ls") == (0, "", "")
    assert pkg("verify")[0] == 0
