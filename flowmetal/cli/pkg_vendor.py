"""``flowmetal pkg vendor``: the packages of a project, in the project."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, offline_option
from flowmetal.errors import EXIT_OK


@click.command(name="vendor")
@offline_option
@home_option
def command(offline: bool, home: str | None) -> int:
    """Write the packages of the lock into the folder vendor/ of the project, as a registry has them.

    Whoever has the project needs no network then. Their digests are those of the lock, and are compared all the same.
    """
    import time

    from flowmetal.cli.project_packages import existing_project, tell

    project = existing_project(home)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    written = project.vendor(offline, now)
    tell(f"vendor: {each}" for each in written)
    return EXIT_OK
