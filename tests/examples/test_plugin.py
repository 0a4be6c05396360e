"""Effects of another package: installed, used, refused, broken, and gone when a run is taken up again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from flowmetal.actions.plugins import discover

CHECKOUT = Path(__file__).absolute().parents[2]
EXAMPLE = CHECKOUT / "examples" / "plugin"
GRANTS = ("--allow", "effect=greeting.greet", "--allow", "effect=greeting.sign", "--allow", "env=SIGNED_BY")


def install(target: Path, name: str, entries: dict[str, str], text: str | None = None) -> Path:
    """What an installer leaves of a package."""
    about = target / f"{name}-1.0.0.dist-info"
    about.mkdir(parents=True)
    lines = [f"{entry} = {value}" for entry, value in entries.items()]
    (about / "entry_points.txt").write_text("\n".join(["[flowmetal.effects]", *lines, ""]), encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n", encoding="utf-8")
    if text is not None:
        (target / f"{name}.py").write_text(text, encoding="utf-8")
    return target


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A directory in which the example's package is installed."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = install(tmp_path / "packages", "flowmetal_greeting", project["entry-points"]["flowmetal.effects"])
    shutil.copy(EXAMPLE / "greeting_effects.py", found)
    return found


def command(tmp_path: Path, *arguments: str, packages: Path | None) -> subprocess.CompletedProcess[str]:
    paths = [str(CHECKOUT), *([str(packages)] if packages else []), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "FLOWMETAL_HOME": str(tmp_path / "home"),
        "FLOWMETAL_DURABILITY": "os",
        "SIGNED_BY": "Ada",
    }
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "flowmetal", *arguments],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def flow(tmp_path: Path) -> str:
    """The example's flow, signing by a variable that is there."""
    text = (EXAMPLE / "greet.flow").read_text(encoding="utf-8").replace("sign(greeting)", 'sign(greeting, "SIGNED_BY")')
    (tmp_path / "greet.flow").write_text(text, encoding="utf-8")
    return "greet.flow"


def test_effects_of_a_package_are_there_and_behind_grants(tmp_path: Path, target: Path, flow: str) -> None:
    assert command(tmp_path, "check", flow, packages=target).returncode == 0
    done = command(tmp_path, "run", flow, *GRANTS, packages=target)
    assert (done.returncode, done.stdout.strip()) == (0, "Hello, World! -- Ada"), done.stderr
    for missing, option in ((GRANTS[2:], "effect=greeting.greet"), (GRANTS[:4], "env=SIGNED_BY")):
        refused = command(tmp_path, "run", flow, *missing, packages=target)
        assert refused.returncode == 1
        assert f"add --allow {option}" in refused.stderr
    failed = command(tmp_path, "run", f"{flow}:greet", "--person", "", *GRANTS, packages=target)
    assert "greeting.greet: there is nobody to greet" in failed.stderr


def test_without_the_package_the_name_is_unknown(tmp_path: Path, flow: str) -> None:
    done = command(tmp_path, "run", flow, *GRANTS, packages=None)
    assert done.returncode != 0
    assert "greeting" in done.stderr


def test_a_run_is_taken_up_where_the_package_is_gone(tmp_path: Path, target: Path) -> None:
    """Its names are pinned with the run: what was recorded is replayed, and only what is new is an Err."""
    text = """
def _main(fctx):
    first = unwrap(fctx.actions.greeting.greet("Bob"))
    unwrap(fctx.actions.append("log", "x"))
    fctx.actions.sleep("3s")
    return [first, fctx.actions.greeting.greet("Eve").error.message]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""
    (tmp_path / "again.flow").write_text(text, encoding="utf-8")
    paths = os.pathsep.join([str(CHECKOUT), str(target)])
    environment = {**os.environ, "PYTHONPATH": paths, "FLOWMETAL_HOME": str(tmp_path / "home")}
    grants = ("--allow", "effect=greeting.greet", "--allow", "write=.")
    engine = subprocess.Popen(
        [sys.executable, "-m", "flowmetal", "run", "again.flow", "--id", "one", *grants],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (tmp_path / "log").exists():
            assert engine.poll() is None
            time.sleep(0.02)
        # The append is done; that it is recorded is not needed: then it is done once more.
    finally:
        engine.kill()
        engine.wait()
    done = command(tmp_path, "resume", "one", packages=None)
    assert done.returncode == 0, done.stderr
    assert "Hello, Bob!" in done.stdout
    assert "there is no effect `greeting.greet`" in done.stdout


BROKEN = {
    "raises": ("x = 1 / 0", "ZeroDivisionError: division by zero"),
    "leaves": ("import sys; sys.exit('bye')", "SystemExit: bye"),
    "holds_nothing": ("EFFECT = 1", "TypeError: 'int' object is not iterable"),
    "holds_others": ("EFFECT = [1]", "holds a value of type int, not an Effect"),
    "lacks_it": ("", "AttributeError: module 'lacks_it' has no attribute 'EFFECT'"),
    "is_named_otherwise": (
        "from greeting_effects import EFFECTS as EFFECT",
        "the effect `greeting.greet` is not called `is_named_otherwise.NAME`",
    ),
    "read": ("EFFECT = []", "Flowmetal itself has something of that name"),
    "wait": ("EFFECT = []", "Flowmetal itself has something of that name"),
    "http": ("EFFECT = []", "Flowmetal itself has something of that name"),
    "Odd": ("EFFECT = []", "the name is not one of lower case letters"),
}


def test_a_broken_package_is_named_and_stops_nothing(
    tmp_path: Path, target: Path, flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (text, _) in BROKEN.items():
        install(target, name, {name: f"{name}:EFFECT"}, text)
    install(target, "twice", {"greeting": "greeting_effects:EFFECTS", "no_target": "greeting_effects"})
    done = command(tmp_path, "run", flow, *GRANTS, packages=target)
    assert done.returncode == 0, done.stderr
    for name, (_, reason) in BROKEN.items():
        assert f"the effects `{name}` of {name} cannot be used: " in done.stderr
        assert reason in done.stderr
    assert "the effects `greeting` of twice cannot be used: another package brings effects" in done.stderr
    assert "`greeting_effects` is not MODULE:NAME" in done.stderr
    told = command(tmp_path, "doctor", packages=target).stdout
    assert "cannot be used: ZeroDivisionError: division by zero" in told
    assert discover([]).effects == ()
