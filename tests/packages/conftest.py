"""Packages on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path) -> Write:
    """Writes the files of ``pkg.example.org/v1/hello`` into a folder; a file given as None is left out."""

    def write(version: str = "1.0.0", more: str = "", **files: str | bytes | None) -> Path:
        folder = tmp_path / "hello"
        manifest = f'[package]\nname = "pkg.example.org/v1/hello"\nversion = "{version}"\n{more}'
        texts: dict[str, str | bytes | None] = {"flowmetal.toml": manifest, "lib.flow": "x = 1\n"}
        for path, text in {**texts, **{name.replace("__", "/"): text for name, text in files.items()}}.items():
            if text is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(text.encode() if isinstance(text, str) else text)
        return folder

    return write
