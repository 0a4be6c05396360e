"""``flowmetal flows``: what a file offers to be run."""

from __future__ import annotations

from typing import Any

import click

from flowmetal.cli.options import json_option, limit_option, package_options


@click.command(name="flows")
@click.argument("file", metavar="FILE", type=click.Path())
@limit_option
@package_options
@json_option("Print an array of objects: name, flow, place, doc, declared, arguments.")
def command(file: str, limits: tuple[str, ...], frozen: bool | None, offline: bool, as_json: bool) -> int:
    """List the flows of a file with their arguments, types, defaults and docs.

    The file is loaded in a sandboxed worker; nothing of it is run.
    """
    import asyncio

    from flowmetal.assembly import conduct_of, locate_program
    from flowmetal.cli.flow_arguments import usage_of
    from flowmetal.cli.flow_listing import argument_lines, name_of, own_flows
    from flowmetal.cli.limiting import parse_limits
    from flowmetal.cli.loading_news import tell_of_packages
    from flowmetal.cli.text import json_text, printable
    from flowmetal.engine.programs import Programs
    from flowmetal.engine.table import ProgramState
    from flowmetal.language.labels import short_name
    from flowmetal.values import to_json_data

    all_limits = parse_limits(limits)
    label, sources = locate_program(file, conduct_of(frozen, offline))

    async def load() -> ProgramState:
        programs = Programs(lambda *_: None, lambda *_: None, lambda: None)
        try:
            return await programs.load(label, sources, all_limits)
        finally:
            programs.close()

    flows = own_flows(asyncio.run(load()))
    tell_of_packages(sources)
    if as_json:
        data: list[dict[str, Any]] = []
        for flow in flows:
            arguments = [
                {
                    "name": argument.name,
                    "option": usage_of(argument),
                    "type": argument.type,
                    "required": argument.required,
                    "default": to_json_data(argument.default),
                    "doc": argument.doc,
                    "options": {name: to_json_data(value) for name, value in argument.options.items()},
                }
                for argument in flow.arguments
            ]
            data.append(
                {
                    "name": name_of(flow),
                    "flow": short_name(flow.reference),
                    "place": flow.place,
                    "doc": flow.doc,
                    "declared": flow.declared,
                    "arguments": arguments,
                }
            )
        print(json_text(data, indent=2))
        return 0
    if not flows:
        click.echo(f"{file} makes no flows; `name = flow(_name_impl)` makes one", err=True)
    for flow in flows:
        title = f"{name_of(flow)}  ({flow.place})"
        print(title if flow.declared else f"{title}  declares no arguments")
        if flow.doc.strip():
            print(f"  {printable(flow.doc.strip(), keep=chr(10))}")
        for line in argument_lines(flow, "    "):
            print(line)
    return 0
