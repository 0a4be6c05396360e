"""The modules that a main file reaches."""

from __future__ import annotations

from flowmetal.carried import prelude_directory
from flowmetal.language.labels import PRELUDE, PRELUDE_MAIN
from flowmetal.language.modules import Modules


def test_the_files_of_the_prelude_are_asked_for_at_once() -> None:
    """Each further question is a turn between worker and engine, at every start."""
    files = {f"{PRELUDE}//{path.name}": path.read_text(encoding="utf-8") for path in prelude_directory().glob("*.flow")}
    modules = Modules({PRELUDE_MAIN: files[PRELUDE_MAIN]})
    assert {PRELUDE_MAIN, *modules.missing([PRELUDE_MAIN])} == set(files)
