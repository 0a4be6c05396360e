"""``flowmetal pkg remove``: requires a package no more."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, offline_option
from flowmetal.errors import EXIT_OK


@click.command(name="remove")
@click.argument("packages", metavar="PACKAGE...", nargs=-1, required=True)
@offline_option
@home_option
def command(packages: tuple[str, ...], offline: bool, home: str | None) -> int:
    """Require packages no more: they leave flowmetal.toml, and the lock loses what nothing else needs."""
    from flowmetal.cli.project_packages import existing_project, tell
    from flowmetal.packages.late import Conduct

    project = existing_project(home)
    for package in packages:
        project.require(package)
    tell(project.change(dict.fromkeys(packages), Conduct(offline=offline, anew=True)))
    return EXIT_OK
