"""What ``flowmetal flows`` prints of the flows of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowmetal.cli.flow_listing import argument_lines, name_of
from flowmetal.cli.text import printable
from flowmetal.language.flows import FlowInfo
from flowmetal.language.outline import outline


def parts_of(flows: Sequence[FlowInfo]) -> dict[str, str]:
    """Which flows are parts of which: what no global names belongs to the one that the same line binds to a global.

    The jobs of a workflow are such; by reference, the name of the flow that they are a part of.
    """
    owners = {flow.line: flow for flow in flows if flow.global_name}
    return {
        flow.reference: name_of(owners[flow.line]) for flow in flows if not flow.global_name and flow.line in owners
    }


def described(flow: FlowInfo, text: str) -> str:
    """A flow in one line: its ``description``, or the first line of its ``doc`` or of its implementation's.

    ``text`` is that of its module.
    """
    if flow.description:
        return flow.description
    doc = flow.doc.strip() or (outline(text).doc_of(flow.global_name).strip() if flow.global_name else "")
    return doc.partition("\n")[0].strip()


def print_flows(flows: Sequence[FlowInfo], parts: Mapping[str, str], text: str) -> None:
    """Prints flows with what is known of them; those that are ``parts`` only by name, below what they are a part of."""
    named = {name_of(flow) for flow in flows}
    for flow in flows:
        if parts.get(flow.reference) in named:
            continue
        title = f"{printable(name_of(flow))}  ({flow.place})"
        print(title if flow.declared else f"{title}  declares no arguments")
        about = described(flow, text)
        if about:
            print(f"  {printable(about)}")
        rest = flow.doc.strip() if flow.description else flow.doc.strip().partition("\n")[2]
        if rest.strip():
            print(printable("\n".join(f"  {line}".rstrip() for line in rest.strip("\n").splitlines()), keep="\n"))
        if flow.tags:
            print(f"  tags: {printable(', '.join(flow.tags))}")
        for line in argument_lines(flow, "    "):
            print(line)
        if flow.returns is not None:
            print(f"  returns {printable(flow.returns.text)}")
        mine = [name_of(each) for each in flows if parts.get(each.reference) == name_of(flow)]
        if mine:
            print(f"  made of: {printable(', '.join(mine))}")
