"""What a run is granted: the command line's grants, and those of a project file that is trusted."""

from __future__ import annotations

import shlex
from pathlib import Path

from flowmetal.assembly import home_path
from flowmetal.cli.text import with_home
from flowmetal.errors import UsageError
from flowmetal.permissions.grants import EVERYTHING_MEANS, GrantSet, everything
from flowmetal.sources import PROJECT_FILE
from flowmetal.trust import Trust, read_project


def all_granted(asked: GrantSet, allow_all: bool, root: Path, home: str | None) -> tuple[GrantSet, list[str]]:
    """The grants of a run, and what is to be said about them.

    Args:
        asked: what the command line grants by itself.
        allow_all: whether it grants everything.
        root: the program's root, where the project file is if there is one.
        home: the home that the command line names.

    Raises:
        UsageError: the project file is trusted, and grants what cannot be granted (any more).
        HomeError: what is trusted cannot be read.
    """
    notices = []
    if allow_all:
        asked = asked.widen(everything())
        notices.append(f"--allow-all: {EVERYTHING_MEANS}")
    file = root / PROJECT_FILE
    if not file.is_file():
        return asked, notices
    try:
        project = read_project(str(file))
    except UsageError as error:
        return asked, [*notices, f"{error.place}: {error.message}; its grants do not count"]
    if not project.may_grant:
        return asked, notices
    state = Trust(home_path(home)).state_of(project)
    if state == "trusted":
        return asked.widen(project.grants()), notices
    why = "has changed since it was trusted" if state == "changed" else "is not trusted"
    command = with_home(f"flowmetal trust {shlex.quote(project.path)}", home)
    return asked, [*notices, f"{project.path} {why}, its grants do not count: {command}"]
