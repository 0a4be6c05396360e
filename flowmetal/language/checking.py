"""What can be said of flow files without running a flow: types, lint, calls, and whether they load.

Runs where the interpreter may: in a worker.  Modules are evaluated as libraries, as for any load, so that flows and
their declared arguments are known.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import starlark

from flowmetal.errors import LanguageError
from flowmetal.language.calls import (
    Known,
    Signature,
    arguments_of_effect,
    called_otherwise,
    check_calls,
    signature_of_effect,
    signature_of_flow,
    signature_of_function,
    signatures_of,
)
from flowmetal.language.diagnostics import Diagnostic, diagnose
from flowmetal.language.dialect import make_globals, make_prelude_globals
from flowmetal.language.drawing import draw_line
from flowmetal.language.flow_types import check_types, implementing_functions
from flowmetal.language.flows import FlowInfo
from flowmetal.language.following import Follower
from flowmetal.language.hints import CONTEXT_FIELDS
from flowmetal.language.labels import PRELUDE_MAIN, TEST_SUFFIX, is_prelude, short_name
from flowmetal.language.members import members_of
from flowmetal.language.modules import Modules, load_line, prelude_names
from flowmetal.language.program import Program, Tick
from flowmetal.language.result_use import check_results
from flowmetal.language.scopes import scope_of
from flowmetal.language.syntax import CONTEXT, Finding, parse
from flowmetal.language.type_errors import OF_COMPARISONS, compared_places, with_line

_LINT: Final = {
    "unreachable": "this is never reached",
    "duplicate-key": "",
    "duplicate-top-level-assign": "",
    "using-unassigned": "",
    "no-effect": "this line does nothing: is a call or an assignment missing?",
}
"""Lint that is always worth a look, with words of our own where the linter's are poor."""

_TOP_LEVEL: Final = re.compile(r"^(?:def (\w+)|(\w+)\s*(?::[^=\n]*)?=(?!=)|for (\w+))", re.MULTILINE)
_SPAN: Final = re.compile(r"//([^ ,]+):(\d+)(?::\d+(?:-\d+)?)?(?:-\d+:\d+)?")
_FRONT_LINES: Final = 2


def check_program(program: Program, tick: Tick, effects: Mapping[str, list[Any]]) -> list[Diagnostic]:
    """Everything found in a program whose texts are at hand, by file and line; of one line, the first word only.

    ``effects`` are what ``signature_of_effect`` reads, by the name of the effect.
    """
    found: list[Diagnostic] = []
    fault: list[Diagnostic] = []
    try:
        program.load(tick)
    except LanguageError as error:
        fault.append(Diagnostic.of_error(error))
    try:
        labels = program.modules.in_order(program.main)
        found += _Checker(program, effects).check([label for label in labels if not is_prelude(label)])
    except LanguageError as error:
        fault.append(Diagnostic.of_error(error))
    by_line: dict[tuple[str, ...], Diagnostic] = {}
    for each in [*found, *fault]:
        by_line.setdefault(tuple(each.place.split(":")[:2]), each)
    return sorted(by_line.values(), key=lambda each: _order(each.place))


def _order(place: str) -> tuple[str, int, int]:
    file, line, column = (*place.split(":"), "0", "0")[:3]
    return file, int(line), int(column)


class _Checker:
    """Checks modules one after the other, each with what those before it are known to hold."""

    def __init__(self, program: Program, effects: Mapping[str, list[Any]]) -> None:
        self._modules: Modules = program.modules
        self._globals = make_globals()
        self._interfaces: dict[str, starlark.Interface] = {}
        self._prelude_names = prelude_names(self._modules.sources[PRELUDE_MAIN])
        self._prelude = self._signatures_of_prelude()
        for name, takes in effects.items():
            for struct in (f"{CONTEXT}.actions", "effects"):
                self._prelude[f"{struct}.{name}"] = signature_of_effect(takes)
        self._effects = {name: arguments_of_effect(takes) for name, takes in effects.items()}
        self._members: dict[str, tuple[str, ...]] = {CONTEXT: CONTEXT_FIELDS}
        for label in self._modules.in_order(PRELUDE_MAIN):
            self._members.update(members_of(self._modules.sources[label]))
        self._trees: dict[str, ast.Module | None] = {}
        self._flows: dict[str, dict[str, Signature]] = {}
        self._declared: dict[str, dict[str, tuple[str, ...]]] = {}
        self._infos: dict[str, dict[str, FlowInfo]] = {}
        for info in program.flows:
            if info.global_name:
                self._infos.setdefault(info.label, {})[info.global_name] = info
            names = tuple(argument.name for argument in info.arguments)
            self._declared.setdefault(info.label, {})[info.global_name] = names
            signature = signature_of_flow(info)
            if signature is not None and info.global_name:
                self._flows.setdefault(info.label, {})[info.global_name] = signature
        for label in self._modules.in_order(PRELUDE_MAIN):
            loads = {
                load.module_id: self._interfaces[self._modules.resolve(label, load.module_id)]
                for load in self._modules.tree(label).loads()
            }
            self._interfaces[label] = self._modules.tree(label).typecheck(make_prelude_globals(), loads)[1]

    def _signatures_of_prelude(self) -> dict[str, Signature]:
        """What the prelude's main file gives to every flow file, whichever of its files the text is in."""
        found: dict[str, dict[str, Signature]] = {}
        for label in self._modules.in_order(PRELUDE_MAIN):
            loaded: dict[str, Signature] = {}
            for load in self._modules.tree(label).loads():
                there = found[self._modules.resolve(label, load.module_id)]
                for own, theirs in load.symbols.items():
                    loaded.update(called_otherwise(there, theirs, own))
            found[label] = signatures_of(self._modules.sources[label], loaded)
        return found[PRELUDE_MAIN]

    def check(self, labels: list[str]) -> Iterator[Diagnostic]:
        for label in labels:
            self._add_undeclared(label)
            yield from self._calls(label)
            yield from self._meaning(label)
            yield from self._types(label)
            yield from self._lint(label)

    def _parsed(self, label: str) -> ast.Module | None:
        if label not in self._trees:
            self._trees[label] = parse(self._modules.sources[label])
        return self._trees[label]

    def _add_undeclared(self, label: str) -> None:
        """Takes in what the flows of a file take that declare no arguments."""
        tree = self._parsed(label)
        if tree is None or "flow" in self._names_of_its_own(label):
            return
        for function, infos in implementing_functions(tree, self._infos.get(label, {}), scope_of(tree, None)).items():
            for info in infos:
                if not info.declared:
                    self._flows.setdefault(label, {})[info.global_name] = signature_of_function(function)

    def _bound(self, label: str) -> set[str]:
        """What a file binds at its top, even one that Python cannot read."""
        return {part for groups in _TOP_LEVEL.findall(self._modules.sources[label]) for part in groups if part}

    def _names_of_its_own(self, label: str) -> set[str]:
        """The global names of a file that are not the prelude's, even where that has one of the name."""
        names = self._bound(label)
        for load in self._modules.tree(label).loads():
            of_prelude = self._modules.resolve(label, load.module_id) == PRELUDE_MAIN
            names.update(own for own, theirs in load.symbols.items() if not (of_prelude and own == theirs))
        return names

    def _calls(self, label: str) -> Iterator[Diagnostic]:
        known = dict(self._prelude)
        members = {
            name: there
            for name, there in self._members.items()
            if name.startswith(CONTEXT) or name.partition(".")[0] in self._prelude_names
        }
        for load in self._modules.tree(label).loads():
            source = self._modules.resolve(label, load.module_id)
            flows = self._prelude if source == PRELUDE_MAIN else self._flows.get(source, {})
            for own, theirs in load.symbols.items():
                known.pop(own, None)
                members.pop(own, None)
                if theirs in flows:
                    known[own] = flows[theirs]
        bound = self._bound(label)
        known = {each: signature for each, signature in known.items() if each.partition(".")[0] not in bound}
        heads = {CONTEXT, *(members.keys() - bound)}
        members = {name: members[name] for name in members.keys() - bound if name.partition(".")[0] in heads}
        known.update(self._flows.get(label, {}))
        tree = self._parsed(label)
        if tree is not None:
            found = Known(known, members, self._declared.get(label, {}), self._names_of_its_own(label))
            yield from self._drawn(label, check_calls(tree, found))

    def _meaning(self, label: str) -> Iterator[Diagnostic]:
        """What flows, effects and Results are used for that does not fit."""
        tree = self._parsed(label)
        if tree is None:
            return
        top = scope_of(tree, None)
        flows = dict(self._infos.get(label, {}))
        for load in self._modules.tree(label).loads():
            there = self._infos.get(self._modules.resolve(label, load.module_id), {})
            flows.update({own: there[theirs] for own, theirs in load.symbols.items() if theirs in there})
        top.unknown |= self._names_of_its_own(label) - flows.keys() - top.values.keys()
        follower = Follower(flows, self._effects, top)
        yield from self._drawn(label, check_types(tree, follower))
        yield from self._drawn(label, check_results(tree, follower, may_drop=label.endswith(TEST_SUFFIX)))

    def _drawn(self, label: str, findings: Iterable[Finding]) -> Iterator[Diagnostic]:
        lines = self._modules.sources[label].split("\n")
        for finding in findings:
            # Python counts the bytes of a line, and a person its characters.
            before = lines[finding.line - 1].encode()[: finding.column - 1].decode(errors="ignore")
            place = f"{short_name(label)}:{finding.line}:{len(before) + 1}"
            yield Diagnostic(finding.message, place, draw_line(lines, finding.line), finding.hint)

    def _types(self, label: str) -> Iterator[Diagnostic]:
        text = self._modules.sources[label]
        taken = self._bound(label)
        loads = {}
        for load in self._modules.tree(label).loads():
            taken.update(load.symbols)
            loads[load.module_id] = self._interfaces[self._modules.resolve(label, load.module_id)]
        free = [name for name in self._prelude_names if name not in taken]
        front = f'{load_line(PRELUDE_MAIN, free)}\n__name__ = ""\n'
        tree = self._modules.parse_text(label, front + text)
        errors, self._interfaces[label], _ = tree.typecheck(
            self._globals, {**loads, PRELUDE_MAIN: self._interfaces[PRELUDE_MAIN]}
        )
        lines = text.split("\n")
        harmless = compared_places(self._parsed(label))
        for error in errors:
            line = error.span.span.begin.line + 1 - _FRONT_LINES if error.span else 0
            column = error.span.span.begin.column + 1 if error.span else 0
            if (line, column) in harmless and str(error).startswith(OF_COMPARISONS):
                continue
            said = diagnose(with_line(str(error), draw_line(lines, line), line), {})
            yield Diagnostic(said.message, f"{short_name(label)}:{line}:{column}", draw_line(lines, line), said.hint)

    def _lint(self, label: str) -> Iterator[Diagnostic]:
        lines = self._modules.sources[label].split("\n")
        tree = self._parsed(label)
        direct = {each.lineno for each in tree.body} if tree is not None else set(range(len(lines) + 1))
        for lint in self._modules.tree(label).lint():
            begin = lint.resolved_location.span.begin
            if lint.short_name == "duplicate-top-level-assign" and begin.line + 1 not in direct:
                continue  # the other branch of an `if`
            if lint.short_name in _LINT and lint.original.strip() != "...":
                message = _LINT[lint.short_name] or _SPAN.sub(r"\1:\2", lint.problem)
                place = f"{short_name(label)}:{begin.line + 1}:{begin.column + 1}"
                excerpt = draw_line(lines, begin.line + 1)
                yield Diagnostic(message[:1].lower() + message[1:], place, excerpt)
