"""``flowmetal pkg tree``: all packages of a project."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, json_option
from flowmetal.errors import EXIT_OK


@click.command(name="tree")
@home_option
@json_option("Print an array of objects: package, version, tree, requires, permissions.")
def command(home: str | None, as_json: bool) -> int:
    """Show the packages of the lock, each below what needs it first, and what its code may need."""
    from flowmetal.cli.project_packages import existing_project
    from flowmetal.cli.text import json_text, printable
    from flowmetal.packages.late import Conduct

    graph, _ = existing_project(home).graph(Conduct(frozen=True))
    if as_json:
        rows = [
            {
                "package": each.package,
                "version": each.version,
                "tree": each.tree,
                "requires": dict(each.requires),
                "permissions": list(each.permissions),
            }
            for _, each in sorted(graph.members.items())
        ]
        print(json_text(rows, indent=2))
        return EXIT_OK
    shown: set[str] = set()

    def show(names: list[str], indent: str) -> None:
        for name in names:
            member = graph.members.get(name)
            if member is None:
                continue
            may = f"  may need {', '.join(member.permissions)}" if member.permissions else ""
            seen = "  (see above)" if name in shown else ""
            print(printable(f"{indent}{name} {member.version or '(a folder)'}{seen or may}"))
            if name not in shown:
                shown.add(name)
                show(sorted(member.requires), indent + "  ")

    show(sorted(graph.requires or {}), "")
    return EXIT_OK
