"""What loading a program's packages has changed, for whoever looks at stderr."""

from __future__ import annotations

import click

from flowmetal.cli.text import printable
from flowmetal.sources import FileSources


def tell_of_packages(sources: FileSources) -> None:
    """Says which packages are new in the lock, or were used for the first time."""
    for news in sources.packages.notices if sources.packages is not None else ():
        click.echo(f"note: {printable(news)}", err=True)
