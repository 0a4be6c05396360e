"""``flowmetal pkg add``: requires a package."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, offline_option
from flowmetal.errors import EXIT_OK, UsageError


@click.command(name="add")
@click.argument("labels", metavar="PACKAGE[@VERSION]...", nargs=-1, required=True)
@offline_option
@home_option
def command(labels: tuple[str, ...], offline: bool, home: str | None) -> int:
    """Require packages: in flowmetal.toml, whose comments stay, and in the lock.

    Without a version it is the newest. What the code of a package may need is shown, and accepted by this.
    """
    from flowmetal.cli.project_packages import project_here, tell
    from flowmetal.package_ids import parse_label
    from flowmetal.packages.late import Conduct
    from flowmetal.packages.project import lookalike
    from flowmetal.packages.versions import Version

    wanted = [parse_label(label) for label in labels]
    for each in wanted:
        if each.file or each.digest:
            raise UsageError(f"`{each}` is more than a package and a version", remedy=f"write {each.package}@1.4.2")
    project = project_here(home)
    newest = project.newest([each.package for each in wanted if not each.version], offline)
    changes = {each.package: Version.parse(each.version) if each.version else newest[each.package] for each in wanted}
    known = [each.id for each in project.lock.packages]
    for package in changes:
        if (other := lookalike(package, known)) is not None:
            tell([f"note: {package} is almost the name of {other}, which is in the lock: is it the right one?"])
    tell(project.change(changes, Conduct(offline=offline, anew=True)))
    return EXIT_OK
