"""Where the Starlark texts are that come with Flowmetal."""

from __future__ import annotations

from pathlib import Path


def prelude_directory() -> Path:
    """The directory of the prelude's files: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    carried = package / "_prelude"
    return carried if carried.is_dir() else package.parent / "prelude"
