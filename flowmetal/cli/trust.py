"""``flowmetal trust``: lets the grants of a project file count."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from flowmetal.cli.options import home_option
from flowmetal.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from flowmetal.permissions.grants import GrantSet
    from flowmetal.settings import Limits


@click.command(name="trust")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path())
@click.option("--revoke", is_flag=True, help="Trust the file no more.")
@click.option("--list", "list_all", is_flag=True, help="List the trusted files, and which have changed since.")
@home_option
def command(file: str | None, revoke: bool, list_all: bool, home: str | None) -> int:
    """Let the grants and limits of a flowmetal.toml count.

    Shows what it grants and limits, and remembers its path and content: after a change it must be trusted again. FILE
    is the file or its folder; without it, the nearest flowmetal.toml from here upward.
    """
    from flowmetal.cli.text import printable
    from flowmetal.places import home_path
    from flowmetal.trust import Trust, project_path, read_project

    trust = Trust(home_path(home))
    if list_all:
        if file is not None or revoke:
            raise UsageError("--list takes no FILE and no --revoke")
        for path, digest in trust.trusted().items():
            print(printable(f"{_state(path, digest):7} {path}"))
        return EXIT_OK
    path = project_path(_found(file))
    if revoke:
        was_trusted = trust.remove(path)
        click.echo(printable(f"{path} {'is trusted no more' if was_trusted else 'was not trusted'}"), err=True)
        return EXIT_OK
    project = read_project(path)
    for line in [*_lines(project.grants()), *_limit_lines(project.limits())] or ["nothing"]:
        print(printable(line))
    trust.add(project)
    click.echo(printable(f"{path} is trusted as it is now"), err=True)
    return EXIT_OK


def _lines(grants: GrantSet) -> list[str]:
    lines = []
    for label, some in [("", grants), *grants.packages]:
        whom = f" for {label}" if label else ""
        rows = [f"allow{whom} {grant}" for grant in some.allow] + [f"deny{whom} {grant}" for grant in some.deny]
        lines += rows if rows or not label else [f"allow{whom} nothing"]
    return lines


def _limit_lines(limits: Limits) -> list[str]:
    return [f"limit {name} {value}" for name, value in limits.changed().items()]


def _found(file: str | None) -> str:
    from flowmetal.sources import PROJECT_FILE
    from flowmetal.trust import find_project

    if file is not None:
        return os.path.join(file, PROJECT_FILE) if os.path.isdir(file) else file
    found = find_project(os.getcwd())
    if found is None:
        raise UsageError(f"there is no {PROJECT_FILE} here or above", remedy="name it: flowmetal trust FILE")
    return found


def _state(path: str, digest: str) -> str:
    from flowmetal.trust import read_project

    try:
        return "trusted" if read_project(path).digest == digest else "changed"
    except UsageError:
        return "gone"
