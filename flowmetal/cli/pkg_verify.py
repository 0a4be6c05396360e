"""``flowmetal pkg verify``: whether every package is what the lock says."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, offline_option
from flowmetal.errors import EXIT_OK, EXIT_RUN_FAILED


@click.command(name="verify")
@offline_option
@home_option
def command(offline: bool, home: str | None) -> int:
    """Read every package of the lock again, here and where it comes from.

    Exit code 0: all is as the lock says; 1: a version was yanked or is gone from its registry; 9: one has changed.
    """
    from flowmetal.cli.project_packages import existing_project, tell

    project = existing_project(home)
    found = list(project.verify(offline))
    tell(found)
    count = len(project.lock.packages)
    print(f"{count} {'package is' if count == 1 else 'packages are'} what the lock says")
    return EXIT_RUN_FAILED if found else EXIT_OK
