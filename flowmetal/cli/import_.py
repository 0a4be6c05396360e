"""``flowmetal import``: takes in a run from a file."""

from __future__ import annotations

import click

from flowmetal.cli.options import home_option, quiet_option
from flowmetal.errors import UsageError

_MAX_BYTES = 2 * 1024 * 1024 * 1024


@click.command(name="import")
@click.argument("file", metavar="FILE", type=click.Path())
@home_option
@quiet_option
def command(file: str, home: str | None, quiet: bool) -> int:
    """Take in a run that `flowmetal export` wrote; `-` reads stdin. Its id is printed.

    Every byte is checked first. Importing the same file twice is once.
    """
    from flowmetal.cli.text import with_home
    from flowmetal.places import home_path, open_journal
    from flowmetal.sources import read_given

    try:
        data = read_given(file, _MAX_BYTES)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    journal = open_journal(home_path(home))
    header = journal.import_run(data)
    print(header.run_id)
    if not quiet:
        more = "" if header.is_finished else f"; go on with it: {with_home(f'flowmetal resume {header.run_id}', home)}"
        click.echo(f"{header.run_id} is here now, its status is {header.status}{more}", err=True)
    return 0
