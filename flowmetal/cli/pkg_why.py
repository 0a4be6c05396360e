"""``flowmetal pkg why``: who needs a package."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option
from flowmetal.errors import EXIT_OK, UsageError, did_you_mean


@click.command(name="why")
@click.argument("package", metavar="PACKAGE")
@home_option
def command(package: str, home: str | None) -> int:
    """Show each way in which flowmetal.toml leads to a package, with the least version that is asked for."""
    from flowmetal.cli.project_packages import existing_project
    from flowmetal.cli.text import printable
    from flowmetal.packages.late import Conduct
    from flowmetal.packages.project import chains

    graph, _ = existing_project(home).graph(Conduct(frozen=True))
    if package not in graph.members:
        raise UsageError(f"nothing here needs {package}{did_you_mean(package, graph.members)}")
    for chain in chains(graph, package):
        asked = graph.requires or {}
        steps = []
        for name in chain:
            steps.append(f"{name} {asked[name]}")
            asked = graph.members[name].requires
        print(printable(" → ".join(["flowmetal.toml", *steps])))
    return EXIT_OK
