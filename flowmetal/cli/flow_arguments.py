"""A flow's declared arguments as options: ``--input-data s3://…``, ``--no-dry``, ``--args FILE.json``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from flowmetal.cli.options import RUN_OPTIONS
from flowmetal.cli.text import printable
from flowmetal.errors import UsageError, ValueCodecError, did_you_mean
from flowmetal.language.argument_texts import load_json
from flowmetal.language.argument_types import options_of
from flowmetal.language.arguments import Argument, bind
from flowmetal.language.flows import FlowInfo
from flowmetal.sources import read_given
from flowmetal.values import Wire, from_python, to_text

_MAX_ARGS_BYTES = 4 * 1024 * 1024
_METAVARS = {"string": "TEXT", "dict": "JSON", "any": "JSON", "list": "ITEM", "timestamp": "RFC3339", "secret": "TEXT"}


def option_of(argument: Argument) -> str:
    """The option of an argument: ``--input-data``."""
    return f"--{argument.name.replace('_', '-')}"


def usage_of(argument: Argument) -> str:
    """The option with what it takes: ``--input-data TEXT``, ``--dry/--no-dry``; after ``--`` if it has our name."""
    option = option_of(argument)
    if is_hidden(argument):
        option = f"-- {option}"
    if argument.type == "bool":
        return f"{option}/--no-{option[2:]}"
    if argument.type == "choice":
        choices = argument.options["choices"]
        return f"{option} {'|'.join(each if isinstance(each, str) else to_text(each) for each in choices)}"
    return f"{option} {_METAVARS.get(argument.type, argument.type.upper())}"


def is_hidden(argument: Argument) -> bool:
    """Whether an option of ``flowmetal run`` itself has its name, so that it comes after ``--``."""
    return option_of(argument) in RUN_OPTIONS


def meant(token: str) -> str:
    """A half-sentence that names the option of ``flowmetal run`` that ``token`` is nearly, or ""."""
    name = token.partition("=")[0]
    return did_you_mean(name, RUN_OPTIONS) if name.startswith("--") else ""


def describe(argument: Argument) -> str:
    """What a person must know of an argument: its doc, whether it is required, its default, its bounds."""
    notes = []
    if argument.type == "list":
        of = argument.options.get("of")
        notes.append(f"list of {_items(of)}; may be repeated" if of else "list of JSON; may be repeated")
    for name in ("min", "max", "min_length", "max_length"):
        if argument.options.get(name) is not None:
            notes.append(f"{name.replace('_', ' ')} {to_text(argument.options[name])}")
    if argument.required:
        notes.append("required")
    elif argument.default is not None:
        notes.append(f"default {to_text(argument.default, 40)}")
    return "  ".join(
        part for part in (printable(argument.doc.strip()), f"[{'; '.join(notes)}]" if notes else "") if part
    )


def _items(of: Wire) -> str:
    kind, options = of[0], options_of(of[1])
    return " | ".join(to_text(each) for each in options["choices"]) if kind == "choice" else str(kind)


def read_arguments(flow: FlowInfo, target: str, tokens: Sequence[str], file: str | None) -> list[Wire]:
    """The keyword arguments of a start, flat: name, value, …; what is on the command line wins over ``file``.

    Args:
        flow: the flow that is to be started.
        target: how the command line names it, for messages.
        tokens: what the command line holds for the flow.
        file: a JSON file of an object of arguments, or None.

    Raises:
        UsageError: anything that does not fit the declarations.
    """
    if not flow.declared and (tokens or file):
        near = next((near for each in tokens if (near := meant(each))), "")
        raise UsageError(
            f"{target} declares no arguments, so it takes none from the command line{near}",
            place=flow.place,
            remedy=f'declare them: {flow.name} = flow(…, args = {{"{_name_in(tokens)}": args.string()}})',
        )
    try:
        given = read_file(file) if file else {}
        given.update(_read_tokens(flow, target, list(tokens)))
        order = [argument.name for argument in flow.arguments]
        pairs: list[Wire] = []
        for name in sorted(given, key=lambda name: order.index(name) if name in order else len(order)):
            pairs += (name, given[name])
        bind(target, flow.arguments, [], pairs)
    except UsageError as error:
        lists = f"`flowmetal run {target} --help` lists its arguments"
        hidden = [option_of(each) for each in flow.arguments if is_hidden(each) and f"`{each.name}`" in error.message]
        if hidden:
            lists = f"`{hidden[0]}` is an option of run too: the flow's comes after `--`, … -- {hidden[0]} VALUE"
        raise UsageError(error.message, place=error.place, remedy=lists if hidden else error.remedy or lists) from None
    return pairs


def _name_in(tokens: Sequence[str]) -> str:
    name = next((each for each in tokens if each.startswith("--")), "--name").partition("=")[0]
    return name[2:].replace("-", "_") or "name"


def read_file(file: str, option: str = "--args", holds: str = "argument") -> dict[str, Wire]:
    """The values in a JSON file, ``-`` for stdin: an object of what it ``holds``, given by ``option``.

    Raises:
        UsageError: no such file, not JSON, or not an object.
    """
    try:
        text = read_given(file, _MAX_ARGS_BYTES).decode()
        data = load_json(text)
    except OSError as error:
        remedy = f"{option} takes the name of a file that holds it" if file.lstrip().startswith("{") else ""
        raise UsageError(f"{option} {file} cannot be read: {error.strerror}", remedy=remedy) from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{option} {file} is not UTF-8, at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{option} {file} is not JSON: {error.msg}", place=f"{file}:{error.lineno}:{error.colno}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} {file} is not JSON that can be read: {error}") from None
    if not isinstance(data, dict):
        raise UsageError(f"{option} {file} holds no object", remedy=f'it is read as {{"{holds}": value, …}}')
    try:
        return {name: from_python(value) for name, value in data.items()}
    except ValueCodecError as error:
        raise UsageError(f"{option} {file}: {error.message}", remedy=error.remedy) from None


def _read_tokens(flow: FlowInfo, target: str, tokens: list[str]) -> dict[str, Wire]:
    given: dict[str, Wire] = {}
    for argument, text in _pair(flow, target, tokens):
        if argument.type == "list":
            items = given.setdefault(argument.name, [])
            items.append(_item(argument, text))
        elif argument.name in given:
            raise UsageError(f"{option_of(argument)} is given twice")
        else:
            given[argument.name] = _parse(argument, text)
    return given


def _item(argument: Argument, text: str) -> Wire:
    of = argument.options.get("of")
    if of is None:
        return _parse(Argument(argument.name, "any", True, None, "", {}), text)
    pairs = of[1]["dict"]
    item = Argument(argument.name, of[0], True, None, "", dict(zip(pairs[::2], pairs[1::2], strict=True)))
    return _parse(item, text)


def _parse(argument: Argument, text: str) -> Wire:
    try:
        return argument.parse(text)
    except ValueCodecError as error:
        raise UsageError(f"the argument `{argument.name}`: {error.message}", remedy=error.remedy) from None


def _pair(flow: FlowInfo, target: str, tokens: list[str]) -> Iterator[tuple[Argument, str]]:
    """Each option with its text."""
    options = {option_of(argument): argument for argument in flow.arguments}
    negations = {f"--no-{option[2:]}": each for option, each in options.items() if each.type == "bool"}
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        name, equals, text = token.partition("=")
        if not name.startswith("--"):
            raise UsageError(
                f"`{token}` belongs to no option",
                remedy=f"arguments are given by name; `flowmetal run {target} --help` lists them",
            )
        name = name.replace("_", "-")
        if name in negations and name not in options and not equals:
            yield negations[name], "false"
            continue
        argument = options.get(name)
        if argument is None:
            near = did_you_mean(name, [*options, *negations]) or meant(name)
            raise UsageError(f"{target} has no argument `{name}`{near}")
        if argument.type == "bool" and not equals:
            yield argument, "true"
            continue
        if not equals:
            if at == len(tokens):
                raise UsageError(f"{name} needs a value")
            text = tokens[at]
            at += 1
        yield argument, text
