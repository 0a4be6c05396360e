"""What a run is granted: by the command line, and by a project file that is trusted, whose limits count likewise."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowmetal.cli.text import with_home
from flowmetal.errors import UsageError
from flowmetal.permissions.grants import EVERYTHING_MEANS, GrantSet, everything
from flowmetal.places import home_path
from flowmetal.settings import Limits
from flowmetal.sources import PROJECT_FILE


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a project file adds; ``notices`` are what is to be said about it."""

    grants: GrantSet = field(default_factory=GrantSet)
    limits: Limits = field(default_factory=Limits)
    notices: tuple[str, ...] = ()


def trusted_project(root: Path, home: str | None) -> Trusted:
    """What the project file of a program's root gives, if there is one and it is trusted.

    Args:
        root: the program's root.
        home: the home that the command line names.

    Raises:
        UsageError: it is trusted, and gives what cannot be given (any more).
        HomeError: what is trusted cannot be read.
    """
    file = root / PROJECT_FILE
    if not file.is_file():
        return Trusted()
    # Few runs are of a project, and only those need what reads its file.
    from flowmetal.trust import Trust, read_project

    try:
        project = read_project(str(file))
    except UsageError as error:
        return Trusted(notices=(f"{error.place}: {error.message}; its grants do not count",))
    if not project.may_count:
        return Trusted()
    state = Trust(home_path(home)).state_of(project)
    if state == "trusted":
        return Trusted(project.grants(), project.limits())
    why = "has changed since it was trusted" if state == "changed" else "is not trusted"
    command = with_home(f"flowmetal trust {shlex.quote(project.path)}", home)
    what = "grants and limits do" if project.may_limit else "grants do"
    return Trusted(notices=(f"{project.path} {why}, its {what} not count: {command}",))


def all_granted(asked: GrantSet, allow_all: bool, project: Trusted) -> tuple[GrantSet, list[str]]:
    """The grants of a run, and what is to be said about them.

    Args:
        asked: what the command line grants by itself.
        allow_all: whether it grants everything.
        project: what the project file adds.
    """
    notices = []
    if allow_all:
        asked = asked.widen(everything())
        notices.append(f"--allow-all: {EVERYTHING_MEANS}")
    # What the command line says of a package is all of it: `none` takes away what the project file gives.
    named = {label for label, _ in asked.packages}
    kept = tuple(pair for pair in project.grants.packages if pair[0] not in named)
    return asked.widen(replace(project.grants, packages=kept)), [*notices, *project.notices]
