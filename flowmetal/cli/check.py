"""``flowmetal check``: what is wrong with flow files, without running them."""

from __future__ import annotations

import click

from flowmetal.cli.options import json_option, limit_option, package_options


@click.command(name="check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@limit_option
@package_options
@json_option("Print an array of objects: file, line, column, message, help.")
def command(files: tuple[str, ...], limits: tuple[str, ...], frozen: bool | None, offline: bool, as_json: bool) -> int:
    """Check flow files, and what they load, without running a flow.

    Finds what does not parse or load, types that do not fit, unknown names, and calls of flows, of effects and of the
    prelude with wrong arguments.  Silent when all is well; exit code 1 when something was found, 2 when a file cannot
    be read.
    """
    from flowmetal.assembly import conduct_of
    from flowmetal.cli.findings import check_files
    from flowmetal.cli.limiting import parse_limits
    from flowmetal.cli.text import json_text

    found = check_files(files, parse_limits(limits), conduct_of(frozen, offline))
    if as_json:
        data = [
            {
                "file": each.file,
                "line": each.line,
                "column": each.column,
                "message": each.diagnostic.message,
                "help": each.diagnostic.hint,
            }
            for each in found
        ]
        print(json_text(data, indent=2))
    else:
        for each in found:
            print("\n".join(each.lines()))
    return 1 if found else 0
