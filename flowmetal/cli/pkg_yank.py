"""``flowmetal pkg yank``: takes a version out of use."""

from __future__ import annotations

from pathlib import Path

import click

from flowmetal.errors import EXIT_OK, UsageError


@click.command(name="yank")
@click.argument("label", metavar="PACKAGE@VERSION")
@click.option("--to", metavar="DIR", required=True, type=click.Path(), help="The registry: a directory of packages.")
@click.option("--bare", is_flag=True, help="DIR of --to is this one package's own place, such as a checkout.")
@click.option("--undo", is_flag=True, help="Put the version back into use.")
def command(label: str, to: str, bare: bool, undo: bool) -> int:
    """Take a version out of use: nobody is given it any more who does not have it in a lock.

    Nothing is removed: projects that lock it, and runs that began with it, go on as before.
    """
    from flowmetal.cli.text import printable
    from flowmetal.package_ids import parse_label
    from flowmetal.packages.publishing import base_in, yank
    from flowmetal.packages.versions import Version

    wanted = parse_label(label)
    if not wanted.version or wanted.file:
        raise UsageError(f"`{label}` names no version", remedy=f"write {wanted.package}@1.4.2")
    base = base_in(Path(to), wanted.package, bare=bare)
    try:
        index = yank(base, wanted.package, Version.parse(wanted.version), undo=undo)
    except OSError as error:
        raise UsageError(f"{error.filename or base} cannot be written: {error.strerror}") from None
    usable = [version for version, listed in index.versions.items() if not listed.yanked]
    newest = f"the newest in use is {max(usable)}" if usable else "no version of it is in use"
    what = "is in use again" if undo else "is out of use"
    click.echo(printable(f"{wanted.package} {wanted.version} {what}; {newest}"), err=True)
    return EXIT_OK
