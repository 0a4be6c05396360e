"""What the pages show is true: flows are checked, values compared, commands run and their output compared."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import CHECKOUT, PAGES, Block, blocks, shown

PATIENCE_SECONDS = 60
SHOWN_FOLDER = "/home/ada/flows"
"""What pages write for the folder that a reader works in."""

WITH_FLOWS = [page for page in PAGES if any(block.info.startswith(("flow", "console")) for block in blocks(page))]
WITH_VALUES = [page for page in PAGES if any(block.info == "flow values" for block in blocks(page))]

# What differs from run to run: times, dates, the random part of ids, UUIDs, and how wide a column is.
_VARIES = (
    (re.compile(r"\d+\.\d+s\b"), "0.0s"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+Z)?"), "DATE"),
    (re.compile(r"-01[0-9a-z]{16}\b"), "-ID"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"[ \t]+"), " "),
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and ``flowmetal`` on PATH."""
    command = tmp_path / "bin" / "flowmetal"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W error -m flowmetal "$@"\n', encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    python_path = os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": python_path,
        "FLOWMETAL_HOME": str(tmp_path / "home"),
        "FLOWMETAL_CACHE": str(tmp_path / "cache"),
        "FLOWMETAL_DURABILITY": "os",
        "CI": "",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that a reader works in."""
    (tmp_path / "flows").mkdir()
    return tmp_path / "flows"


def sh(script: str, folder: Path, environment: dict[str, str]) -> str:
    """What a script prints, on both streams."""
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.stdout.replace(os.path.realpath(folder), SHOWN_FOLDER).replace(str(folder), SHOWN_FOLDER)


def same(text: str) -> list[str]:
    """Lines without what differs from run to run."""
    for pattern, instead in _VARIES:
        text = pattern.sub(instead, text)
    return [line.strip() for line in text.splitlines()]


def fits(expected: list[str], actual: list[str]) -> bool:
    """Whether the lines are as expected; ``...`` by itself stands for any lines."""
    if not expected:
        return not actual
    if expected[0] == "...":
        return any(fits(expected[1:], actual[at:]) for at in range(len(actual) + 1))
    return bool(actual) and expected[0] == actual[0] and fits(expected[1:], actual[1:])


def steps(block: Block) -> list[tuple[str, str]]:
    """The commands of a block, each with the output it is shown with."""
    found: list[tuple[str, str]] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].rstrip("\n"), ""))
        elif line.startswith("> "):
            found[-1] = (f"{found[-1][0]}\n{line[2:].rstrip()}", "")
        else:
            assert found, f"{block.page}:{block.line}: output before the first command"
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


@pytest.mark.parametrize("page", WITH_FLOWS, ids=shown)
def test_flows_and_commands(page: Path, folder: Path, environment: dict[str, str]) -> None:
    """Files are written and checked, commands run in one shell, in the order of the page."""
    script, expected = ["exec 2>&1"], []
    for block in blocks(page):
        if block.info.startswith("flow") and block.info != "flow values":
            name = block.info.partition("file=")[2] or f"line-{block.line}.flow"
            script.append(f"cat > {name} <<'END-OF-FLOW'\n{block.text}END-OF-FLOW")
            script.append(f"flowmetal check {name} || exit")
        elif block.info == "console":
            for command, output in steps(block):
                # $? and $! of one command are there for the next.
                script.append(f"said=$?; printf '\\n@@ %s\\n' {len(expected)}; (exit $said)\n{command}")
                expected.append((f"{block.page}:{block.line}: {command}", output))
    said = re.split(r"\n@@ \d+\n", "\n" + sh("\n".join(script), folder, environment))
    assert not said[0].strip(), said[0]
    assert len(said) == len(expected) + 1, said[-1]
    for (where, output), actual in zip(expected, said[1:], strict=True):
        assert fits(same(output), same(actual)), f"{where}\n--- shown\n{output}\n--- true\n{actual}"


@pytest.mark.parametrize("page", WITH_VALUES, ids=shown)
def test_values(page: Path, folder: Path, environment: dict[str, str]) -> None:
    """``EXPRESSION  # VALUE``, a line each."""
    lines = [line for block in blocks(page) if block.info == "flow values" for line in block.text.splitlines() if line]
    body = ['if __name__ == "__flow__":']
    for line in lines:
        expression, mark, value = line.rpartition("  # ")
        assert mark, line
        body.append(f"    if repr({expression}) != repr({value}): print({line!r}, 'is', {expression})")
    (folder / "values.flow").write_text("\n".join([*body, "    print('done')", ""]), encoding="utf-8")
    assert sh("flowmetal run values.flow", folder, environment) == "done\n"
