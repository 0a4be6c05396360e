"""The flows of a loaded program as a command line names them."""

from __future__ import annotations

from flowmetal.cli.flow_arguments import describe, is_hidden, usage_of
from flowmetal.cli.text import printable
from flowmetal.engine.table import ProgramState
from flowmetal.errors import UsageError, did_you_mean
from flowmetal.language.flows import FlowInfo
from flowmetal.language.labels import is_prelude, short_name


def own_flows(program: ProgramState) -> list[FlowInfo]:
    """The flows of the main file, in the order of its lines."""
    return sorted((flow for flow in program.flows.values() if flow.label == program.main), key=lambda flow: flow.line)


def name_of(flow: FlowInfo) -> str:
    """How a command line names a flow: by its global, else by its name."""
    return flow.global_name or flow.name


def find(program: ProgramState, file: str, name: str) -> FlowInfo:
    """The flow of the main file with that global name or name.

    Raises:
        UsageError: there is none, or more than one.
    """
    flows = own_flows(program)
    found = [flow for flow in flows if flow.global_name == name] or [flow for flow in flows if flow.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        places = ", ".join(flow.place for flow in found)
        raise UsageError(
            f"{file} has {len(found)} flows called `{name}`: {places}", remedy="bind the one you mean to a global name"
        )
    elsewhere = [flow for flow in program.flows.values() if name == name_of(flow) and not is_prelude(flow.label)]
    if elsewhere:
        label = elsewhere[0].label
        other = short_name(label)
        remedy = f"run it there: flowmetal run {other}:{name}"
        if not label.startswith("//"):
            remedy = f"a flow of a package is run by one of your own: call it in {file}"
        raise UsageError(f"the flow `{name}` is not of {file} but of {other}", remedy=remedy)
    names = [name_of(flow) for flow in flows]
    raise UsageError(
        f"{file} has no flow `{name}`{did_you_mean(name, names)}", remedy=commands(program, file, "its flows are:")
    )


def commands(program: ProgramState, file: str, title: str) -> str:
    """The command of each flow, a line each, below ``title``; says so when there are none."""
    flows = own_flows(program)
    if not flows:
        return f"{file} makes no flows; `name = flow(_name_impl)` makes one"
    lines = [f"  flowmetal run {file}:{name_of(flow)}{_required(flow)}" for flow in flows[:20]]
    if len(flows) > 20:
        lines.append(f"  … and {len(flows) - 20} more, see `flowmetal flows {file}`")
    return "\n".join([title, *lines])


def _required(flow: FlowInfo) -> str:
    required = [argument for argument in flow.arguments if argument.required]
    usages = [usage_of(argument) for argument in required if not is_hidden(argument)]
    hidden = [usage_of(argument).removeprefix("-- ") for argument in required if is_hidden(argument)]
    return "".join(f" {each}" for each in [*usages, *(["--", *hidden] if hidden else [])])


def help_text(program: ProgramState, file: str, name: str) -> str:
    """What ``--help`` after ``FILE[:FLOW]`` prints."""
    if not name:
        title = f"Usage: flowmetal run [OPTIONS] {file}\n\nRuns the body of {file}; it takes no arguments."
        return "\n\n".join([title, commands(program, file, "To run one flow of it:"), _OPTIONS])
    flow = find(program, file, name)
    parts = [f"Usage: flowmetal run [OPTIONS] {file}:{name}{' [ARGUMENTS]' if flow.arguments else ''}"]
    if flow.doc.strip():
        parts.append(printable(flow.doc.strip(), keep="\n"))
    if flow.arguments:
        parts.append("Arguments:\n" + "\n".join(argument_lines(flow, "  ")))
    elif flow.declared:
        parts.append("It takes no arguments.")
    else:
        parts.append("It declares no arguments, so it takes none from the command line.")
    return "\n\n".join([*parts, _OPTIONS])


def argument_lines(flow: FlowInfo, indent: str) -> list[str]:
    """A line for each argument: how it is given, and what it is."""
    usages = [usage_of(argument) for argument in flow.arguments]
    width = min(32, max(map(len, usages), default=0))
    lines = []
    for argument, usage in zip(flow.arguments, usages, strict=True):
        lines.append(f"{indent}{usage.ljust(width)}  {describe(argument)}".rstrip())
    return lines


_OPTIONS = (
    "Options of run itself: `flowmetal run --help`; an argument of the same name as one of these comes after `--`."
)
