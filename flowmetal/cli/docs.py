"""``flowmetal docs``: the reference of a package, as Markdown."""

from __future__ import annotations

import click

from flowmetal.errors import EXIT_OK


@click.command(name="docs")
@click.argument("what", metavar="DIR|PACKAGE", default=".")
@click.option("--offline", is_flag=True, help="Open no socket for packages: use what is on this machine.")
def command(what: str, offline: bool) -> int:
    """Show what a package offers, as Markdown: flows with their arguments, functions, doc comments.

    The package in DIR, by default the one here, or one that is named as in a load: in that version, else in the one
    that is locked here, else in the newest.
    """
    from flowmetal.cli.package_docs import package_docs
    from flowmetal.cli.text import printable

    print(printable(package_docs(what, offline), keep="\n"), end="")
    return EXIT_OK
