"""A program: the modules that one main file reaches, evaluated and frozen, and the flows they make.

How a flow is found again
-------------------------
Functions do not cross into Python, so an implementation stays in Starlark.  ``flow()`` asks the host for an index, and returns a
closure that holds the implementation and answers two questions when called with a private record: *describe* and *enter*.
The host numbers flows in the order in which they are made, module after module, and remembers for each the module that was
loading.  After a module's own text, an epilogue is evaluated in it: it walks the module's globals for closures that say they are
flows and builds a dispatcher, an exported function that enters a flow by index.  A flow that a library
function made belongs to the module that was loading and is found in the same way.

The main file is evaluated once as a library, which holds the implementations, and again as the script of each root run.  The script
pass makes the same flows in the same order, which is checked, so that its closures carry the indices of the first pass.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import starlark

from flowmetal.errors import LanguageError, UsageError, did_you_mean
from flowmetal.language.arguments import Argument
from flowmetal.language.diagnostics import Diagnostic, diagnose, site_of
from flowmetal.language.dialect import make_dialect, make_globals, make_prelude_globals
from flowmetal.language.flows import FlowInfo
from flowmetal.language.host import Answer, Host, HostError
from flowmetal.language.labels import PRELUDE_MAIN, is_prelude, resolve_load, short_name
from flowmetal.language.policy import check_policy
from flowmetal.language.primitives import PRIMITIVES
from flowmetal.language.scan import scan
from flowmetal.values import Wire

SCRIPT_NAME: Final = "__flow__"
GUARD: Final = f'if __name__ == "{SCRIPT_NAME}":'
_PUBLIC: Final = re.compile(r"^(?:def ([A-Za-z][A-Za-z0-9_]*)\(|([A-Za-z][A-Za-z0-9_]*) = )", re.MULTILINE)
_GUARDED: Final = re.compile(r"^if __name__ ==", re.MULTILINE)
_UNASSIGNED: Final = re.compile(r"Local variable `(\w+)` referenced before assignment")
_ENTER: Final = "flowmetal__enter"

StarlarkError = starlark.StarlarkError
Tick = Callable[[], bool]


@dataclass(slots=True)
class _Made:
    """A flow as ``flow()`` told it; the name may still come from a global."""

    label: str
    implementation: str
    name: str
    doc: str
    arguments: tuple[Argument, ...]
    declared: bool
    line: int
    site: str


@dataclass(slots=True)
class _Pass:
    """A module that is being evaluated on this thread; ``expected`` are the indices a script pass must make again."""

    label: str
    expected: list[int] | None = None
    count: int = 0


class _State(threading.local):
    """What is under way on a thread."""

    current: _Pass | None = None
    problem: HostError | None = None


class Program:
    """All modules of one main file.

    Args:
        main: the main file's label, or the prelude's for a program without a file.
        sources: text of every module by label, the prelude's included.
        host: who answers the prelude while runs are evaluated.
        call_depth: frames of one evaluator.
    """

    def __init__(self, main: str, sources: Mapping[str, str], host: Host, call_depth: int = 200) -> None:
        self.main = main
        self.prelude_main = PRELUDE_MAIN
        self.sources = dict(sources)
        self.flows: list[FlowInfo] = []
        self.by_reference: dict[str, int] = {}
        self._host = host
        self._call_depth = call_depth
        self._dialect = make_dialect()
        self._globals = make_globals()
        self._prelude_globals = make_prelude_globals()
        self._frozen: dict[str, starlark.FrozenModule] = {}
        self._made: list[_Made] = []
        self._state = _State()
        self._boot = ""
        self._callables = self._host_callables()

    # -- loading ---------------------------------------------------------------------------------------

    def parse(self, label: str) -> starlark.AstModule:
        """The syntax tree of a module, after the scan that keeps the parser from harm.

        Raises:
            LanguageError: a syntax error, with place, excerpt and hint.
        """
        text = self.sources[label]
        scan(text, short_name(label))
        try:
            return starlark.parse(label, text, self._dialect)
        except starlark.StarlarkError as error:
            raise diagnose(str(error), self.sources).to_error() from None

    def loads(self, label: str) -> list[str]:
        """The labels that a module loads, in order.

        Raises:
            LanguageError: a syntax error, or a load string that is no label.
        """
        labels = []
        for load in self.parse(label).loads():
            try:
                labels.append(resolve_load(label, load.module_id))
            except LanguageError as error:
                raise self._at_load(label, load.module_id, error) from None
        return labels

    def _at_load(self, label: str, written: str, error: LanguageError) -> LanguageError:
        for number, line in enumerate(self.sources[label].split("\n"), 1):
            if f'"{written}"' in line:
                return LanguageError(
                    error.message, place=f"{short_name(label)}:{number}", excerpt=_excerpt(line, number), remedy=error.remedy
                )
        return error

    def load(self, tick: Tick) -> None:
        """Evaluates every module, dependencies first.

        Raises:
            LanguageError: an error of any module; a cycle of loads.
        """
        self._load_module(PRELUDE_MAIN, [], tick)
        names = [a or b for a, b in _PUBLIC.findall(self.sources[PRELUDE_MAIN]) if not a.startswith("flowmetal__")]
        self.prelude_names = tuple(dict.fromkeys(names))
        quoted = ", ".join(f'"{name}"' for name in self.prelude_names)
        self._boot = f'load("{PRELUDE_MAIN}", {quoted})'
        self._load_module(self.main, [], tick)
        for index, info in enumerate(self.flows):
            self.by_reference[info.reference] = index

    @property
    def labels(self) -> list[str]:
        """The modules of the program in the order in which they were evaluated."""
        return list(self._frozen)

    def _load_module(self, label: str, above: list[str], tick: Tick) -> None:
        if label in self._frozen:
            return
        if label in above:
            chain = " → ".join(short_name(it) for it in [*above[above.index(label) :], label])
            raise LanguageError(f"modules load each other in a circle: {chain}")
        for needed in self.loads(label):
            self._load_module(needed, [*above, label], tick)
        module = self._new_module(label, tick)
        first = len(self._made)
        self._state.current = _Pass(label)
        try:
            self._evaluate(module, label, self.parse(label), tick)
        finally:
            self._state.current = None
        if not is_prelude(label):
            self._finish_flows(module, label, first, tick)
        self._frozen[label] = module.freeze()

    def _new_module(self, label: str, tick: Tick) -> starlark.Module:
        module = starlark.Module()
        if is_prelude(label):
            for name, function in self._callables.items():
                module.add_callable(name, function)
        else:
            boot = starlark.parse("<prelude>", self._boot, self._dialect)
            starlark.eval_with(self._eval_options(tick), module, boot, self._globals, file_loader=self._loader(label))
            module["__name__"] = label
        return module

    def _eval_options(self, tick: Tick) -> starlark.EvalOptions:
        return starlark.EvalOptions(check_cancelled=tick, max_callstack_size=self._call_depth)

    def _loader(self, label: str) -> starlark.FileLoader:
        return starlark.FileLoader(lambda written: self._frozen[resolve_load(label, written)])

    def _evaluate(self, module: starlark.Module, label: str, ast: starlark.AstModule, tick: Tick) -> None:
        chosen = self._prelude_globals if is_prelude(label) else self._globals
        self._state.problem = None
        try:
            starlark.eval_with(self._eval_options(tick), module, ast, chosen, file_loader=self._loader(label))
        except starlark.StarlarkError as error:
            raise self.diagnose(str(error)).to_error() from None

    def _finish_flows(self, module: starlark.Module, label: str, first: int, tick: Tick) -> None:
        """Names the flows that a module made and exports its dispatcher."""
        made = self._made[first:]
        if not made:
            return
        present = [name for name in sorted(scan(self.sources[label], label)) if _is_bound(module, name)]
        pairs = ", ".join(f'["{name}", {name}]' for name in present)
        epilogue = (
            f'load("{PRELUDE_MAIN}", _flowmetal_d = "flowmetal__dispatcher", _flowmetal_n = "flowmetal__names")\n'
            f"{_ENTER} = _flowmetal_d([{', '.join(present)}])\nflowmetal__found = _flowmetal_n([{pairs}])\n"
        )
        ast = starlark.parse("<epilogue>", epilogue, self._dialect)
        starlark.eval_with(self._eval_options(tick), module, ast, self._globals, file_loader=self._loader(label))
        found: Any = module["flowmetal__found"]
        order = _first_uses(self.sources[label])
        global_names: dict[int, str] = {}
        for name, index in sorted(found, key=lambda pair: order.get(pair[0], 0)):
            global_names.setdefault(index, name)
        for offset, flow in enumerate(made):
            self.flows.append(self._info(first + offset, flow, global_names.get(first + offset, "")))

    def _info(self, index: int, made: _Made, global_name: str) -> FlowInfo:
        name = made.name or global_name or _from_implementation(made.implementation)
        reference = f"{made.label}:{name}"
        if any(flow.reference == reference for flow in self.flows):
            reference = f"{reference}#{index}"
        return FlowInfo(reference, name, made.label, global_name, made.line, made.doc, made.arguments, made.declared)

    # -- running ---------------------------------------------------------------------------------------

    def enter(self, index: int, context: str, bound: list[Wire] | None, args: list[Wire], kwargs: list[Wire], tick: Tick) -> Answer:
        """Evaluates a flow's implementation; interpreter errors come through as ``StarlarkError``.

        ``context`` is the text of ``FlowContextParts``; ``bound`` the declared arguments, which then replace the others.
        """
        frozen = self._frozen[self.flows[index].label]
        options = self._eval_options(tick)
        if bound is not None:
            return frozen.call_with(options, _ENTER, index, context, bound).value
        if args or kwargs:
            return frozen.call_with(options, _ENTER, index, context, None, args, kwargs).value
        return frozen.call_with(options, _ENTER, index, context).value

    def run_script(self, tick: Tick) -> None:
        """Evaluates the main file's body as a script; interpreter errors come through."""
        module = self._new_module(self.main, tick)
        module["__name__"] = SCRIPT_NAME
        expected = [index for index, info in enumerate(self.flows) if info.label == self.main]
        before = self._state.current
        self._state.current = _Pass(self.main, expected)
        try:
            starlark.eval_with(
                self._eval_options(tick), module, self.parse(self.main), self._globals, file_loader=self._loader(self.main)
            )
        finally:
            self._state.current = before

    def diagnose(self, text: str) -> Diagnostic:
        """Data of an interpreter's error on this thread, with what the host knows of it."""
        problem, self._state.problem = self._state.problem, None
        if problem is not None:
            return diagnose(text, self.sources, problem.message, problem.hint)
        unassigned = _UNASSIGNED.search(text)
        if unassigned and self._is_guarded(unassigned.group(1)):
            return diagnose(
                text,
                self.sources,
                f"`{unassigned.group(1)}` is set only under `{GUARD}`, which does not run while flows are loaded",
                "set it outside the guard, or pass it as an argument",
            )
        if re.search(r"error: (Immutable|.*[Ff]rozen)", text):
            return diagnose(
                text,
                self.sources,
                "a module's values are frozen once it is loaded, and cannot be changed inside a flow",
                "work on a copy: `list(xs)`, `dict(d)`",
            )
        return diagnose(text, self.sources)

    def _is_guarded(self, name: str) -> bool:
        text = self.sources[self.main]
        guard = _GUARDED.search(text)
        return bool(guard and re.search(rf"^\s+(?:def )?{name}\b", text[guard.start() :], re.MULTILINE))

    # -- what the prelude asks -------------------------------------------------------------------------

    def _host_callables(self) -> dict[str, Callable[..., Any]]:
        own = {
            "error": self._raise_error,
            "limit": self._raise_limit,
            "flow": self._make_flow,
            "options": self._check_options,
            "unbound": self._raise_unbound,
            "reference": lambda index: self.flows[index].reference,
            "index": self._index_of,
            "source": site_of,
        }
        asked = ["call", "call_plain", "effect", "start", "wait", "wait_any", "cancel", "sleep", "sleep_until", "now", "random", "uuid", "log"]
        own.update({name: getattr(self._host, name) for name in [*asked, "fail", "context", "flow_name"]})
        own.update(PRIMITIVES)
        return {f"_host_{name}": function for name, function in own.items()}

    def refuse(self, error: HostError) -> HostError:
        """Remembers an error on this thread, since the interpreter keeps only its text."""
        self._state.problem = error
        return error

    @property
    def problem(self) -> HostError | None:
        """The host error that ended the evaluation on this thread, if one did."""
        return self._state.problem

    def is_loading(self) -> bool:
        """Whether a module is being evaluated as a library on this thread."""
        current = self._state.current
        return current is not None and current.expected is None

    def _raise_error(self, message: str) -> None:
        raise self.refuse(HostError(message))

    def _raise_limit(self, message: str) -> None:
        raise self.refuse(HostError(message, kind="limit"))

    def _raise_unbound(self, index: int) -> None:
        info = self.flows[index]
        raise self.refuse(
            HostError(
                f"the flow made at {info.place} is not bound to a global of {short_name(info.label)}, so it cannot be found again",
                hint="bind it to a name of the module, or keep it in a list, dict or struct that is bound",
            )
        )

    def _index_of(self, reference: str) -> int:
        index = self.by_reference.get(reference)
        if index is None:
            raise self.refuse(
                HostError(f"there is no flow {short_name(reference)} in this program{did_you_mean(reference, self.by_reference)}")
            )
        return index

    def _check_options(self, policy: Wire, kind: str) -> None:
        try:
            check_policy(policy, kind)
        except UsageError as error:
            raise self.refuse(HostError(error.message, hint=error.remedy)) from None

    def _make_flow(
        self, implementation: str, kind: str, name: str | None, doc: str, declared: list[Wire], policy: Wire, stack: str
    ) -> int:
        current = self._state.current
        if current is None:
            raise self.refuse(
                HostError("`flow()` works only while a module loads, not inside a running flow", hint="make the flow at top level")
            )
        if kind != "function":
            raise self.refuse(HostError(f"`flow()` takes a function as its implementation, not a value of type {kind}"))
        self._check_options(policy, "made")
        site = site_of(stack)
        try:
            arguments = tuple(Argument.from_wire(each) for each in declared)
        except UsageError as error:
            raise self.refuse(HostError(error.message, hint=error.remedy)) from None
        line = _line_in(current.label, stack)
        made = _Made(current.label, implementation, name or "", doc, arguments, bool(declared), line, site)
        if current.expected is not None:
            return self._made_again(current, made)
        self._made.append(made)
        return len(self._made) - 1

    def _made_again(self, current: _Pass, made: _Made) -> int:
        expected = current.expected or []
        at, current.count = current.count, current.count + 1
        if at < len(expected):
            first = self._made[expected[at]]
            if (first.implementation, first.site) == (made.implementation, made.site):
                return expected[at]
        raise self.refuse(
            HostError(
                "flows are made outside the guard: this one is made only when the file runs as a script",
                hint=f"move the call of `flow()` out of `{GUARD}`, to the top level",
            )
        )


def _is_bound(module: starlark.Module, name: str) -> bool:
    try:
        return module[name] is not None
    except (starlark.StarlarkError, TypeError):
        return True  # bound to what cannot be converted, a function for instance


def _first_uses(text: str) -> dict[str, int]:
    order: dict[str, int] = {}
    for match in re.finditer(r"[A-Za-z_][A-Za-z0-9_]*", text):
        order.setdefault(match.group(), match.start())
    return order


def _from_implementation(function: str) -> str:
    return function.rpartition(".")[2].removeprefix("_").removesuffix("_impl") or "flow"


def _line_in(label: str, stack: str) -> int:
    for match in reversed(list(re.finditer(r"^  \* (.+?):(\d+), in ", stack, re.MULTILINE))):
        if match[1] == label:
            return int(match[2])
    return 0


def _excerpt(line: str, number: int) -> str:
    gap = " " * len(str(number))
    return f"{gap} |\n{number} | {line}\n{gap} |"
