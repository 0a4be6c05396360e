"""``flowmetal pkg update``: requires newer versions."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, offline_option
from flowmetal.errors import EXIT_OK, NotAcceptedError, UsageError, did_you_mean


@click.command(name="update")
@click.argument("packages", metavar="[PACKAGE...]", nargs=-1)
@click.option(
    "--accept", metavar="PACKAGE", multiple=True, help="Accept that PACKAGE may need more than before; may be repeated."
)
@offline_option
@home_option
def command(packages: tuple[str, ...], accept: tuple[str, ...], offline: bool, home: str | None) -> int:
    """Require the newest versions of packages, by default of all that flowmetal.toml requires.

    With --accept alone nothing is raised but what it names. A package that may need more than was accepted is refused,
    or asked about on a terminal, and without a yes nothing changes.
    """
    from flowmetal.cli.project_packages import existing_project, is_asked_here, tell
    from flowmetal.cli.text import printable
    from flowmetal.packages.late import Conduct

    project = existing_project(home)
    requires = project.manifest.requires
    for package in packages:
        project.require(package)
    known = dict.fromkeys([*requires, *(each.id for each in project.lock.packages)])
    for package in accept:
        if package not in known:
            raise UsageError(
                f"--accept {package}: neither flowmetal.toml nor the lock has it{did_you_mean(package, known)}",
                remedy=f"there are {', '.join(known)}" if known else "",
            )
    chosen = packages or tuple(each for each in requires if not accept or each in accept)
    newest = project.newest([each for each in chosen if each not in project.demand(Conduct()).carried], offline)
    changes = {package: version for package, version in newest.items() if version > requires[package]}
    accepted = list(accept)
    while True:
        try:
            tell(project.change(changes, Conduct(offline=offline, anew=True, accept=accepted)))
            return EXIT_OK
        except NotAcceptedError as error:
            package = error.message.partition(" ")[0]
            if package in accepted or not is_asked_here():
                raise
            if not click.confirm(printable(error.message) + "\naccept it?", err=True):
                raise
            accepted.append(package)
