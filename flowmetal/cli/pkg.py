"""``flowmetal pkg``: the group of commands about packages."""

from __future__ import annotations

import click

from flowmetal.cli.lazy import OF_PACKAGES, LazyGroup


@click.group(name="pkg", cls=LazyGroup, table=OF_PACKAGES, prefix="pkg_")
def command() -> None:
    """Work with packages, those of a project and those of a registry."""
