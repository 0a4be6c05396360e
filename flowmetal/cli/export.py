"""``flowmetal export``: a run in a file."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from flowmetal.cli.options import RUN_ID, home_option, quiet_option
from flowmetal.errors import StorageError


@click.command(name="export")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.option(
    "--output", "-o", metavar="FILE", type=click.Path(), help="Where to; `-` is stdout. Default: RUN.flowrun."
)
@click.option("--move", is_flag=True, help="The run goes on elsewhere: nobody drives it here from now on.")
@home_option
@quiet_option
def command(run_id: str, output: str | None, move: bool, home: str | None, quiet: bool) -> int:
    """Write a run with its history, payloads and code into a file, for `flowmetal import` in another home.

    The file is written whole or not at all. A run that a live process drives is refused.
    """
    from flowmetal.cli.reading import open_existing, root_only
    from flowmetal.cli.text import show_bytes

    journal = open_existing(home)
    root_only(journal.require(run_id), "export")
    target = output or f"{run_id}.flowrun"
    was_moved = bool(journal.require(run_id).moved_to)
    if move:
        journal.mark_moved(run_id, target if target != "-" else "another home")
    data = journal.export_run(run_id)
    try:
        _write(target, data)
    except OSError as error:
        if move and not was_moved:
            journal.import_run(data)  # nothing left this home, so nothing has moved
        raise StorageError(
            f"{target} cannot be written: {error.strerror}", remedy="name another file with --output"
        ) from None
    if not quiet:
        moved = "; it goes on where you import it" if move else ""
        click.echo(f"{run_id}: {show_bytes(len(data))} in {target}{moved}", err=True)
    return 0


def _write(target: str, data: bytes) -> None:
    if target == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
