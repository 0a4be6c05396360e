"""``flowmetal flows``: what a file offers to be run."""

from __future__ import annotations

from typing import Any

import click

from flowmetal.cli.options import json_option, limit_option, package_options

_SHOWN = 20


@click.command(name="flows")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only flows with this tag; may be repeated.")
@limit_option
@package_options
@json_option(
    "Print an array of objects: name, flow, place, description, doc, tags, part_of, declared, arguments, returns."
)
def command(
    file: str, tags: tuple[str, ...], limits: tuple[str, ...], frozen: bool | None, offline: bool, as_json: bool
) -> int:
    """List the flows of a file with their descriptions, tags, arguments, types and defaults.

    What a flow was made of, such as the jobs of a workflow, is named below it. The file is loaded in a sandboxed
    worker; nothing of it is run.
    """
    import asyncio

    from flowmetal.assembly import conduct_of, locate_program
    from flowmetal.cli.flow_arguments import usage_of
    from flowmetal.cli.flow_listing import name_of, own_flows
    from flowmetal.cli.flow_printing import described, parts_of, print_flows
    from flowmetal.cli.limiting import parse_limits
    from flowmetal.cli.loading_news import tell_of_packages
    from flowmetal.cli.text import json_text
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

    program = asyncio.run(load())
    flows = own_flows(program)
    parts = parts_of(flows)
    shown = [flow for flow in flows if set(tags) <= set(flow.tags)]
    text = program.sources[program.main]
    tell_of_packages(sources)
    if as_json:
        data: list[dict[str, Any]] = []
        for flow in shown:
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
                    "description": described(flow, text),
                    "doc": flow.doc,
                    "tags": list(flow.tags),
                    "part_of": parts.get(flow.reference),
                    "declared": flow.declared,
                    "arguments": arguments,
                    "returns": flow.returns.text if flow.returns is not None else None,
                }
            )
        print(json_text(data, indent=2))
        return 0
    if not flows:
        click.echo(f"{file} makes no flows; `name = flow(_name_impl)` makes one", err=True)
    elif not shown:
        known = sorted({tag for flow in flows for tag in flow.tags})
        near = f"; its tags are {', '.join(known[:_SHOWN])}" if known else "; none of its flows has a tag"
        click.echo(f"no flow of {file} has {' and '.join(f'the tag `{tag}`' for tag in tags)}{near}", err=True)
    print_flows(shown, parts, text)
    return 0
