"""``flowmetal check``: what is wrong with flow files, without running them."""

from __future__ import annotations

import click

from flowmetal.cli.options import json_option, limit_option


@click.command(name="check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@limit_option
@json_option("Print an array of objects: file, line, column, message, help.")
def command(files: tuple[str, ...], limits: tuple[str, ...], as_json: bool) -> int:
    """Check flow files, and what they load, without running a flow.

    Finds what does not parse or load, types that do not fit, unknown names, and calls of flows, of effects and of the
    prelude with wrong arguments.  Silent when all is well; exit code 1 when something was found, 2 when a file cannot
    be read.
    """
    import asyncio

    from flowmetal.assembly import locate_program, registry
    from flowmetal.cli.limiting import parse_limits
    from flowmetal.cli.text import continued, drawn, json_text, printable
    from flowmetal.engine.checking import check_file
    from flowmetal.language.diagnostics import Diagnostic

    all_limits = parse_limits(limits)
    programs = [(file, *locate_program(file)) for file in files]
    # Of several files each is named from its own program's root, as `run` names it.
    found: dict[tuple[str, str, int, int], Diagnostic] = {}
    for _, label, sources in programs:
        sources.text_of(label)  # what cannot be read is no finding but an error
    for _, label, sources in programs:
        for each in asyncio.run(check_file(label, sources, all_limits, registry())):
            name, line, column = (*each.place.split(":"), "0", "0")[:3]
            found.setdefault((str(sources.root), name, int(line), int(column)), each)
    if as_json:
        data = [
            {"file": path, "line": at, "column": beside, "message": each.message, "help": each.hint}
            for (_, path, at, beside), each in found.items()
        ]
        print(json_text(data, indent=2))
    else:
        for (_, path, at, beside), each in found.items():
            place = ":".join([path, *(str(number) for number in (at, beside) if number)])
            print(f"{printable(place)}: {continued(each.message)}")
            if each.excerpt:
                print(drawn(each.excerpt))
            if each.hint:
                print(f"  help: {continued(each.hint)}")
    return 1 if found else 0
