"""``./dev`` itself, as far as it goes without installing anything."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def dev(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(CHECKOUT / "dev"), *args], capture_output=True, text=True, check=False, timeout=30)


def test_help_names_every_command() -> None:
    done = dev("help")
    assert done.returncode == 0
    for command in ("demo", "test", "check", "bench", "torture"):
        assert f"\n  {command} " in done.stdout


def test_without_a_command_it_helps() -> None:
    assert dev().stdout == dev("help").stdout


def test_an_unknown_command_is_an_error() -> None:
    done = dev("tset")
    assert done.returncode == 2
    assert "there is no command 'tset'" in done.stderr


@pytest.mark.parametrize("script", ["dev", ".ci/run"])
def test_scripts_can_be_executed(script: str) -> None:
    assert os.access(CHECKOUT / script, os.X_OK)
