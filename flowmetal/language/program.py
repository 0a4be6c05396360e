"""A program: the modules that one main file reaches, evaluated and frozen, and the flows they make.

How a flow is found again
-------------------------
Functions do not cross into Python, so an implementation stays in Starlark.  ``flow()`` asks the host for an index,
and returns a closure that holds the implementation and answers two questions when called with a private record:
*describe* and *enter*.  After a module's own text, an epilogue is evaluated in it: it walks the module's globals for
closures that say they are flows and builds a dispatcher, an exported function that enters a flow by index.  A flow
that a library function made belongs to the module that was loading and is found in the same way.

The main file is evaluated once as a library, which holds the implementations, and again as the script of each root run.

Who is who: ``modules`` texts and trees; ``registry`` the flows; ``explaining`` what an error means; ``state`` what is
under way on a thread; here, evaluating.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import starlark

from flowmetal.language.diagnostics import Diagnostic, site_of
from flowmetal.language.dialect import make_globals, make_prelude_globals
from flowmetal.language.explaining import explain, nothing_started
from flowmetal.language.flows import FlowInfo
from flowmetal.language.host import Answer, Host, HostError
from flowmetal.language.labels import PRELUDE_MAIN, is_carried, is_prelude
from flowmetal.language.modules import PRIVATE, Modules, is_bound, load_line, prelude_names
from flowmetal.language.primitives import PRIMITIVES
from flowmetal.language.registry import GUARD, SCRIPT_NAME, FlowRegistry
from flowmetal.language.state import Pass, ThreadState
from flowmetal.values import Wire

__all__ = ["GUARD", "SCRIPT_NAME", "Program", "StarlarkError", "Tick"]

_ENTER: Final = "flowmetal__enter"
_ASKED: Final = (
    "call", "call_plain", "effect", "start", "wait", "wait_any", "cancel", "defer", "clean", "release", "sleep",
    "sleep_until", "now", "random", "uuid", "log", "expose", "fail", "context", "flow_name",
    "continue_as_new", "safe_point",
)  # fmt: skip
"""What the prelude asks of the host, each as ``_host_NAME``."""

StarlarkError = starlark.StarlarkError
Tick = Callable[[], bool]


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
        self.modules = Modules(sources)
        self._state = ThreadState()
        self._registry = FlowRegistry(self._state)
        self._call_depth = call_depth
        self._globals = make_globals()
        self._prelude_globals = make_prelude_globals()
        self._frozen: dict[str, starlark.FrozenModule] = {}
        self._boot: starlark.AstModule | None = None
        self._callables = self._host_callables(host)
        self._has_libraries = False
        self._ahead: dict[str, starlark.FrozenModule] = {}

    # -- what it holds ---------------------------------------------------------------------------------

    @property
    def flows(self) -> list[FlowInfo]:
        """The flows by index."""
        return self._registry.flows

    @property
    def by_reference(self) -> dict[str, int]:
        """The index of each flow by what the journal calls it."""
        return self._registry.by_reference

    @property
    def has_libraries(self) -> bool:
        """Whether there are modules beside the main file and the prelude."""
        return self._has_libraries

    @property
    def labels(self) -> list[str]:
        """The modules in the order in which they were evaluated."""
        return list(self._frozen)

    # -- loading ---------------------------------------------------------------------------------------

    def become(self, main: str, sources: Mapping[str, str]) -> None:
        """Makes a program that was loaded without a file the one of ``main``, still to be loaded.

        A module of the prelude whose text, and that of all it loads, is the same by then is not evaluated again.
        """
        self.main = main
        self.modules = Modules(sources, self.modules)
        self._ahead, self._frozen = self._frozen, {}

    def missing(self) -> list[str]:
        """Labels of modules whose text is wanted; none when ``load`` may be called.

        Raises:
            LanguageError: a syntax error, or a load string that is no label.
        """
        return self.modules.missing([self.main, PRELUDE_MAIN])

    def load(self, tick: Tick) -> None:
        """Evaluates every module, dependencies first.

        Raises:
            LanguageError: an error of any module; a circle of loads.
        """
        for label in self.modules.in_order(PRELUDE_MAIN):
            # In order, so what it loads has been looked at before it.
            same = all(self._frozen[each] is self._ahead.get(each) for each in self.modules.loads(label))
            if same and label in self._ahead and self.modules.is_as_earlier(label):
                self._frozen[label] = self._ahead[label]
            else:
                self._load_module(label, tick)
        names = prelude_names(self.modules.sources[PRELUDE_MAIN])
        self._boot = self.modules.parse_text("<prelude>", load_line(PRELUDE_MAIN, names))
        for label in self.modules.in_order(self.main):
            if label not in self._frozen:
                self._load_module(label, tick)
        self._has_libraries = any(label != self.main and not is_carried(label) for label in self._frozen)

    def _load_module(self, label: str, tick: Tick) -> None:
        module = self._new_module(label, tick)
        first = self._registry.made
        self._state.current = Pass(label)
        self._state.problem = None
        chosen = self._prelude_globals if is_prelude(label) else self._globals
        try:
            self._evaluate(module, label, self.modules.tree(label), tick, chosen)
        except StarlarkError as error:
            raise self.diagnose(str(error)).to_error() from None
        finally:
            self._state.current = None
        if self._registry.made > first:
            self._finish_flows(module, label, first, tick)
        self._frozen[label] = module.freeze()

    def _new_module(self, label: str, tick: Tick) -> starlark.Module:
        module = starlark.Module()
        if is_prelude(label):
            for name, function in self._callables.items():
                module.add_callable(name, function)
        else:
            assert self._boot is not None
            self._evaluate(module, label, self._boot, tick)
            module["__name__"] = label
        return module

    def _options(self, tick: Tick) -> starlark.EvalOptions:
        return starlark.EvalOptions(check_cancelled=tick, max_callstack_size=self._call_depth)

    def _evaluate(
        self,
        module: starlark.Module,
        label: str,
        tree: starlark.AstModule,
        tick: Tick,
        chosen: starlark.Globals | None = None,
    ) -> None:
        loader = starlark.FileLoader(lambda written: self._frozen[self.modules.resolve(label, written)])
        starlark.eval_with(self._options(tick), module, tree, chosen or self._globals, file_loader=loader)

    def _finish_flows(self, module: starlark.Module, label: str, first: int, tick: Tick) -> None:
        """Names the flows that a module made and exports its dispatcher."""
        present = [name for name in sorted(self.modules.names(label)) if is_bound(module, name)]
        pairs = ", ".join(f'["{name}", {name}]' for name in present)
        epilogue = (
            f'load("{PRELUDE_MAIN}", _flowmetal_d = "{PRIVATE}dispatcher", _flowmetal_n = "{PRIVATE}names")\n'
            f"{_ENTER} = _flowmetal_d([{', '.join(present)}])\n{PRIVATE}found = _flowmetal_n([{pairs}])\n"
        )
        self._evaluate(module, label, self.modules.parse_text("<epilogue>", epilogue), tick)
        found: Any = module[f"{PRIVATE}found"]
        self._registry.settle(first, [(name, index) for name, index in found], self.modules.sources[label])

    # -- running ---------------------------------------------------------------------------------------

    def enter(
        self, index: int, context: str, bound: list[Wire] | None, args: list[Wire], kwargs: list[Wire], tick: Tick
    ) -> Answer:
        """Evaluates a flow's implementation; interpreter errors come through as ``StarlarkError``.

        ``context`` is the text of ``FlowContextParts``; ``bound`` the declared arguments, which then replace the
        others.
        """
        state = self._state
        above = state.current
        if above is None:
            return self._call(index, context, bound, args, kwargs, tick)
        # A script's body is being evaluated further up on this thread; the flow is not part of it.
        state.current = None
        try:
            return self._call(index, context, bound, args, kwargs, tick)
        finally:
            state.current = above

    def _call(
        self, index: int, context: str, bound: list[Wire] | None, args: list[Wire], kwargs: list[Wire], tick: Tick
    ) -> Answer:
        frozen = self._frozen[self._registry.flows[index].label]
        options = self._options(tick)
        if bound is not None:
            return frozen.call_with(options, _ENTER, index, context, bound).value
        if args or kwargs:
            return frozen.call_with(options, _ENTER, index, context, None, args, kwargs).value
        return frozen.call_with(options, _ENTER, index, context).value

    def run_script(self, tick: Tick) -> None:
        """Evaluates the main file's body as a script; interpreter errors come through."""
        module = self._new_module(self.main, tick)
        module["__name__"] = SCRIPT_NAME
        self._state.current = Pass(self.main, self._registry.of_module(self.main))
        try:
            self._evaluate(module, self.main, self.modules.tree(self.main), tick)
        finally:
            self._state.current = None

    # -- errors ----------------------------------------------------------------------------------------

    def diagnose(self, text: str) -> Diagnostic:
        """Data of an interpreter's error on this thread, with what the host knows of it."""
        known = self._registry.implementations
        return explain(text, self.modules.sources, self.main, self._state.take_problem(), known)

    def find_nothing_started(self, *, printed: bool) -> Diagnostic | None:
        """Why a script's body that called no action is at fault; None if it ``printed`` and a guard is not wrong."""
        return nothing_started(self.modules.sources[self.main], self.main, self._registry.flows, printed=printed)

    def refuse(self, error: HostError) -> HostError:
        """Remembers an error on this thread, since the interpreter keeps only its text."""
        return self._state.refuse(error)

    @property
    def problem(self) -> HostError | None:
        """The host error that ended the evaluation on this thread, if one did."""
        return self._state.problem

    def is_loading(self) -> bool:
        """Whether a module is being evaluated as a library on this thread."""
        return self._state.is_loading

    # -- what the prelude asks -------------------------------------------------------------------------

    def _host_callables(self, host: Host) -> dict[str, Callable[..., Any]]:
        registry = self._registry
        own: dict[str, Callable[..., Any]] = {
            "error": self._raise,
            "limit": partial(self._raise, kind="limit"),
            "flow": registry.make,
            "options": registry.check_options,
            "unbound": registry.raise_unbound,
            "reference": registry.reference,
            "index": registry.index_of,
            "source": site_of,
        }
        own.update({name: getattr(host, name) for name in _ASKED})
        own.update(PRIMITIVES)
        return {f"_host_{name}": function for name, function in own.items()}

    def _raise(self, message: str, hint: str = "", kind: str = "error") -> None:
        raise self.refuse(HostError(message, hint=hint, kind=kind))
