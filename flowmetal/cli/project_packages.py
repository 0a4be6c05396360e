"""What the commands about a project's packages share: the project here, and telling what has changed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from flowmetal.assembly import package_places
from flowmetal.cli.fetch_meter import FetchMeter
from flowmetal.cli.text import printable
from flowmetal.errors import UsageError
from flowmetal.language.labels import PACKAGES
from flowmetal.packages.late import Conduct, PackagesOnDemand
from flowmetal.packages.project import Project
from flowmetal.sources import PROJECT_FILE, working_directory
from flowmetal.trust import find_project


def project_here(home: str | None = None) -> Project:
    """The project of the working directory: that of the nearest manifest upward, else one that begins here."""
    here = working_directory()
    found = find_project(here)
    root = Path(found).parent if found is not None else Path(here)

    def demand(conduct: Conduct) -> PackagesOnDemand:
        return PackagesOnDemand(root / PROJECT_FILE, root, package_places(home), conduct, PACKAGES, FetchMeter())

    return Project(root, demand)


def existing_project(home: str | None = None) -> Project:
    """The project of the working directory.

    Raises:
        UsageError: there is none.
    """
    project = project_here(home)
    if not (project.root / PROJECT_FILE).exists():
        raise UsageError(
            f"there is no {PROJECT_FILE} here, nor in a folder above",
            remedy="`flowmetal pkg add PACKAGE` begins a project here",
        )
    return project


def is_asked_here() -> bool:
    """Whether a person can be asked: stdin and stderr are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def tell(news: Iterable[str]) -> None:
    """Says on stderr what has changed."""
    for each in news:
        click.echo(printable(each), err=True)
