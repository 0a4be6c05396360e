"""``flowmetal check``: what is wrong with flow files, without running them."""

from __future__ import annotations

import json

import click

from flowmetal.cli.options import json_option


@click.command(name="check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@json_option("Print an array of objects: file, line, column, message, help.")
def command(files: tuple[str, ...], as_json: bool) -> int:
    """Check flow files, and what they load, without running a flow.

    Finds what does not parse or load, types that do not fit, unknown names, and calls of flows and of the
    prelude with wrong arguments.  Silent when all is well; exit code 1 when something was found, 2 when a file cannot
    be read.
    """
    import asyncio
    import os

    from flowmetal.assembly import locate_program
    from flowmetal.engine.checking import check_file
    from flowmetal.language.diagnostics import Diagnostic
    from flowmetal.settings import Limits

    programs = [(file, *locate_program(file)) for file in files]
    found: dict[tuple[str, int, int], Diagnostic] = {}
    for _, label, sources in programs:
        sources.text_of(label)  # what cannot be read is no finding but an error
    for _, label, sources in programs:
        for each in asyncio.run(check_file(label, sources, Limits())):
            name, line, column = (*each.place.split(":"), "0", "0")[:3]
            path = os.path.relpath(sources.root / name) if name else ""
            found.setdefault((path, int(line), int(column)), each)
    if as_json:
        data = [
            {"file": path, "line": at, "column": beside, "message": each.message, "help": each.hint}
            for (path, at, beside), each in found.items()
        ]
        print(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        for (path, at, beside), each in found.items():
            place = ":".join([path, *(str(number) for number in (at, beside) if number)])
            print(f"{place}: {each.message}")
            if each.excerpt:
                print(each.excerpt)
            if each.hint:
                print(f"  help: {each.hint}")
    return 1 if found else 0
