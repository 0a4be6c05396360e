"""Directories to work in."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.permissions import parse_grants
from tests.actions.desk import Desk


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory under a path free of links."""
    return Path(os.path.realpath(tmp_path))


@pytest.fixture
def desk(base: Path) -> Desk:
    """``base/in`` may be read, ``base/out`` read and written, ``base/elsewhere`` neither."""
    for name in ("in", "out", "elsewhere"):
        (base / name).mkdir()
    (base / "elsewhere" / "secret.txt").write_text("secret")
    return Desk(base, parse_grants(["read=in", "read=out", "write=out"], [], str(base)))


@pytest.fixture
def open_files() -> Callable[[], int]:
    """How many descriptors this process has open."""
    directory = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return lambda: len(os.listdir(directory))
