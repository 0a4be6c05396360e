"""Calls that cannot work, found in the text: of flows by what they declare, of the prelude by its definitions.

The text is read with Python's own grammar, which most flow files share; one that it cannot read is passed over, since
what is found here is a courtesy: the same calls are refused when they are made.  A name that a function binds for
itself is not taken for the global one.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.language.arguments import Argument
from flowmetal.language.call_names import Names, calls_in
from flowmetal.language.flows import FlowInfo
from flowmetal.language.members import Of, implementations, judge_member
from flowmetal.language.scopes import Scope, bound_in, parts_of, scope_of
from flowmetal.language.syntax import CONTEXT, Finding, parse, passed
from flowmetal.language.written import check_format, check_parameter, check_setting
from flowmetal.policy import EFFECT_SETTINGS, check_setting_name

_ACTIONS = "_actions"
"""The prelude's struct of actions."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a callable takes."""

    positional: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    required: frozenset[str] = frozenset()
    takes_any_positional: bool = False
    takes_any_keyword: bool = False
    lists: frozenset[str] = frozenset()


_ANYTHING = Signature((), takes_any_positional=True, takes_any_keyword=True)


def signature_of_flow(info: FlowInfo) -> Signature | None:
    """What a call of a flow takes; None when it declares nothing."""
    if not info.declared:
        return None
    names = tuple(argument.name for argument in info.arguments)
    return Signature(names, (), frozenset(argument.name for argument in info.arguments if argument.required))


def signature_of_effect(takes: Sequence[Any]) -> Signature:
    """What a call of an effect takes: its parameters, the required ones, the types of all, and whether more."""
    names, required, types, is_variadic = takes
    lists = frozenset(name for name, type_ in zip(names, types, strict=True) if type_ == "list")
    return Signature(tuple(names), EFFECT_SETTINGS, frozenset(required), is_variadic, is_variadic, lists)


def arguments_of_effect(takes: Sequence[Any]) -> tuple[Argument, ...]:
    """The parameters of an effect as the arguments that a flow would declare for them."""
    names, required, types, _ = takes
    kinds = [type_.removesuffix(" | None").replace("str", "string") for type_ in types]
    return tuple(Argument(name, kind, name in required, None, "", {}) for name, kind in zip(names, kinds, strict=True))


def signature_of_function(function: ast.FunctionDef | ast.Lambda) -> Signature:
    """What a call takes of a flow that declares no arguments: what its implementation takes behind the context."""
    takes = _signature(function.args)
    return replace(takes, positional=takes.positional[1:], required=takes.required - {*takes.positional[:1]})


def signatures_of(text: str, loaded: Mapping[str, Signature]) -> dict[str, Signature]:
    """Signatures of a module's public functions, and of the functions in its public structs as ``args.int``.

    ``loaded`` are those of what it loads, by its own names for them: it may give them a public name, or a place in a
    struct.
    """
    tree = parse(text)
    if tree is None:
        return {}
    known = dict(loaded)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            known[node.name] = _signature(node.args)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if isinstance(node.value, ast.Name):
                known.update(called_otherwise(known, node.value.id, name))
            for keyword in node.value.keywords if isinstance(node.value, ast.Call) else ():
                if isinstance(keyword.value, ast.Name) and keyword.value.id in known:
                    known[f"{name}.{keyword.arg}"] = known[keyword.value.id]
                elif name == _ACTIONS:
                    known[f"{name}.{keyword.arg}"] = _ANYTHING
    known.update(called_otherwise(known, _ACTIONS, f"{CONTEXT}.actions"))
    return {name: signature for name, signature in known.items() if not name.startswith("_")}


def called_otherwise(known: Mapping[str, Signature], name: str, other: str) -> dict[str, Signature]:
    """What is known of a name and of what is in it, by another name for the same."""
    return {
        f"{other}{each.removeprefix(name)}": signature
        for each, signature in known.items()
        if each.partition(".")[0] == name
    }


def _signature(arguments: ast.arguments) -> Signature:
    positional = tuple(each.arg for each in (*arguments.posonlyargs, *arguments.args))
    keywords = tuple(each.arg for each in arguments.kwonlyargs)
    plain = positional[: len(positional) - len(arguments.defaults)]
    needed = [name for name, default in zip(keywords, arguments.kw_defaults, strict=True) if default is None]
    return Signature(
        positional, keywords, frozenset((*plain, *needed)), arguments.vararg is not None, arguments.kwarg is not None
    )


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the names of a flow file.

    Attributes:
        signatures: of callables, by dotted name.
        members: the names in structs, by the struct's dotted name.
        declared: the names of the arguments of the file's own flows, by the flow's name.
        own: the global names of the file that are not the prelude's, even where that has one of the name.
    """

    signatures: Mapping[str, Signature]
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    declared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: Collection[str] = ()


def check_calls(tree: ast.Module, known: Known) -> Iterator[Finding]:
    """Calls and members of known names in a flow file that cannot work."""
    taken = bound_in(tree.body)
    implementing = implementations(tree, known.declared)
    pending: list[tuple[ast.AST, Scope, Of | None]] = [(tree, scope_of(tree, None), None)]
    while pending:
        node, scope, flow = pending.pop()
        names = Names(scope, taken, known.own)
        if isinstance(node, ast.Attribute):
            base = names.of(node).rpartition(".")[0]
            yield from judge_member(node, base, known.members, flow)
        elif isinstance(node, ast.Call):
            for call in calls_in(node, names):
                name = names.of(call.func)
                if name in known.signatures:
                    kind = _kind_of_settings(name, call, known, names)
                    yield from _judge(name, known.signatures[name], call, kind)
                    if names.of_prelude(call.func):
                        yield from _judge_written(name, known.signatures[name], call)
            yield from check_format(node)
        parts = list(parts_of(node, scope))
        inner = next((there for _, there in parts if there is not scope), None)
        if node in implementing or (inner is not None and (CONTEXT in inner.unknown or CONTEXT in inner.values)):
            flow = implementing.get(node)
        pending += [(part, there, flow) for part, there in parts]


@dataclass(slots=True)
class _Call:
    """What a call passes, as far as its text tells."""

    node: ast.Call
    by_position: int = 0
    names: dict[str, ast.keyword] = field(default_factory=dict)
    is_open: bool = False

    @staticmethod
    def of(node: ast.Call) -> _Call:
        starred = any(isinstance(each, ast.Starred) for each in node.args)
        names = {each.arg: each for each in node.keywords if each.arg is not None}
        return _Call(node, len(node.args), names, starred or len(names) < len(node.keywords))


def _kind_of_settings(name: str, call: ast.Call, known: Known, names: Names) -> str:
    """Whose settings a call takes, as ``check_policy`` names them; "" if none.

    Of what ``options`` is given somebody may not know whether it is an effect; who says `interrupted` means one.
    """
    if name == "flow":
        return "made"
    if name != "options":
        return "effect" if known.signatures[name].keywords == EFFECT_SETTINGS else ""
    given = known.signatures.get(names.of(call.args[0])) if call.args else None
    if given is None:
        return "effect" if any(each.arg == "interrupted" for each in call.keywords) else "flow"
    return "effect" if given.keywords == EFFECT_SETTINGS else "flow"


def _judge(name: str, takes: Signature, node: ast.Call, settings: str) -> Iterator[Finding]:
    call = _Call.of(node)
    allowed = (*takes.positional, *takes.keywords)
    for word, keyword in call.names.items():
        at = (keyword.lineno, keyword.col_offset + 1)
        if name in ("flow", "options") and word not in allowed:
            try:
                check_setting_name(word, settings)
            except UsageError as error:
                yield Finding(*at, error.message, error.remedy)
            else:
                yield from check_setting(name, word, keyword.value, settings)
        elif word in takes.keywords and settings == "effect":
            yield from check_setting(name, word, keyword.value, settings)
        elif word not in allowed and not takes.takes_any_keyword:
            takes_what = f"it takes: {', '.join(allowed)}" if allowed else "it takes none"
            yield Finding(*at, f"{name} has no argument `{word}`{did_you_mean(word, allowed)}", takes_what)
        elif word in takes.positional[: call.by_position]:
            yield Finding(*at, f"{name} got the argument `{word}` twice")
    for parameter, value in passed(takes.positional, node.args, node.keywords):
        if parameter in takes.lists and isinstance(value, ast.Constant) and isinstance(value.value, str):
            at = (value.lineno, value.col_offset + 1)
            yield Finding(*at, f"{name} takes a list as `{parameter}`", f"write {json.dumps(value.value.split())}")
    if call.is_open:
        return
    place = (node.lineno, node.col_offset + 1)
    if call.by_position > len(takes.positional) and not takes.takes_any_positional:
        count = len(takes.positional)
        yield Finding(
            *place, f"{name} takes {count} argument{'' if count == 1 else 's'}, got {call.by_position} by position"
        )
    given = {*takes.positional[: call.by_position], *call.names}
    for missing in [each for each in allowed if each in takes.required and each not in given]:
        yield Finding(*place, f"{name} needs the argument `{missing}`")


def _judge_written(name: str, takes: Signature, node: ast.Call) -> Iterator[Finding]:
    for parameter, value in passed(takes.positional, node.args, node.keywords):
        yield from check_parameter(name, parameter, value)
