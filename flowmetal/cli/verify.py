"""``flowmetal verify``: re-reads the whole journal."""

from __future__ import annotations

import os
import signal

import click

from flowmetal.cli.options import home_option, json_option
from flowmetal.errors import EXIT_HOME, EXIT_OK, JournalError


@click.command(name="verify")
@home_option
@json_option("Print one object a problem, a line each.")
def command(home: str | None, as_json: bool) -> int:
    """Re-read every record of the journal: checksums, indexes, references.

    Names each problem with its place and what to do. Exit code 3 when there is one.
    """
    child = os.fork()
    return _read(home, as_json) if child == 0 else _end_of(child)


def _end_of(child: int) -> int:
    """The exit code of the process that reads: LMDB ends it where a page is damaged so that it makes no sense.

    Raises:
        JournalError: it was ended so.
    """
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        raise JournalError(
            f"the journal's file is damaged: LMDB gave up in the middle of it ({signal.Signals(-code).name})",
            remedy="restore the home from a copy, or move it away to start anew",
        )
    return code


def _read(home: str | None, as_json: bool) -> int:
    from flowmetal.cli.reading import open_existing
    from flowmetal.cli.text import json_text, printable

    journal = open_existing(home)
    count = 0
    for problem in journal.verify():
        count += 1
        if as_json:
            print(json_text({"place": problem.place, "problem": problem.message, "remedy": problem.remedy}))
        else:
            print(printable(f"{problem.place}: {problem.message}\n  help: {problem.remedy}", keep="\n"))
    if not as_json:
        click.echo(f"{journal.home}: {'intact' if not count else f'{count:,} problems'}", err=True)
    return EXIT_HOME if count else EXIT_OK
