"""The flows of a program: made by ``flow()`` while modules load, named when their module is done, found again by index.

The host numbers flows in the order in which they are made, module after module, and remembers for each the module
that was loading: a flow that a library function made belongs to the module that called it.  The script pass over the
main file makes the same flows in the same order, which is checked, so that its closures carry the indices of the first
pass.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.language.arguments import Argument
from flowmetal.language.diagnostics import line_in, site_of
from flowmetal.language.flows import FlowInfo
from flowmetal.language.host import HostError
from flowmetal.language.labels import short_name
from flowmetal.language.made import Made, check_words
from flowmetal.language.returns import Returns
from flowmetal.language.state import Pass, ThreadState
from flowmetal.policy import check_policy, policy_items
from flowmetal.values import Wire

SCRIPT_NAME: Final = "__flow__"
GUARD: Final = f'if __name__ == "{SCRIPT_NAME}":'
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class FlowRegistry:
    """Flows by index and by reference.

    Args:
        state: what is under way on each thread.
    """

    def __init__(self, state: ThreadState) -> None:
        self.flows: list[FlowInfo] = []
        self.by_reference: dict[str, int] = {}
        self._made: list[Made] = []
        self._state = state

    # -- making ----------------------------------------------------------------------------------------

    def make(
        self,
        implementation: str,
        kind: str,
        name: Wire,
        doc: Wire,
        declared: list[Wire],
        policy: Wire,
        stack: str,
        returns: Wire = None,
        about: Wire = None,
    ) -> int:
        """The index of a new flow, for the prelude's ``flow()``; an older one does not know ``returns`` and ``about``.

        Raises:
            HostError: no module is loading, or what ``flow()`` was given does not fit.
        """
        current = self._state.current
        if current is None:
            raise self._refuse(
                "`flow()` works only while a module loads, not inside a running flow", "make the flow at top level"
            )
        if kind != "function":
            raise self._refuse(
                f"`flow()` takes a function as its implementation, not a value of type {kind}",
                "write `def _name(fctx): …`, `name = flow(_name)`",
            )
        try:
            description, tags = check_words(name, doc, about)
        except UsageError as error:
            raise self._refuse(error.message, error.remedy) from None
        self.check_options(policy, "made")
        try:
            arguments = tuple(Argument.from_wire(each) for each in declared)
            result = Returns.from_wire(returns)
        except UsageError as error:
            raise self._refuse(error.message, error.remedy) from None
        line, site = line_in(current.label, stack), site_of(stack)
        made = Made(
            current.label,
            implementation,
            name or "",
            doc,
            arguments,
            bool(declared),
            line,
            site,
            policy,
            result,
            description,
            tags,
        )
        if current.expected is not None:
            return self._made_again(current, current.expected, made)
        self._made.append(made)
        return len(self._made) - 1

    def _made_again(self, current: Pass, expected: list[int], made: Made) -> int:
        at, current.count = current.count, current.count + 1
        if at < len(expected):
            first = self._made[expected[at]]
            if (first.implementation, first.site) == (made.implementation, made.site):
                return expected[at]
        raise self._refuse(
            "flows are made outside the guard: this one is made only when the file runs as a script",
            f"move the call of `flow()` out of `{GUARD}`, to the top level",
        )

    def check_options(self, policy: Wire, kind: str) -> None:
        """Raise unless the settings are known and fit; see ``check_policy``.

        Raises:
            HostError: they do not.
        """
        try:
            check_policy(policy, kind)
        except UsageError as error:
            raise self._refuse(error.message, error.remedy) from None

    # -- naming ----------------------------------------------------------------------------------------

    @property
    def made(self) -> int:
        """How many flows were made."""
        return len(self._made)

    def settle(self, first: int, found: list[tuple[str, int]], text: str) -> None:
        """Names the flows from index ``first`` on, which one module made.

        ``found`` are the module's globals that are flows, with the flow's index; of several the one first written in
        ``text`` counts.
        """
        order: dict[str, int] = {}
        for match in _IDENTIFIER.finditer(text):
            order.setdefault(match.group(), match.start())
        names: dict[int, str] = {}
        for name, index in sorted(found, key=lambda pair: order.get(pair[0], 0)):
            names.setdefault(index, name)
        for index in range(first, len(self._made)):
            info = self._info(index, self._made[index], names.get(index, ""))
            self.by_reference[info.reference] = index
            self.flows.append(info)
        # Flows among the settings were numbers until all of them had names.
        for index in range(first, len(self._made)):
            self.flows[index] = replace(self.flows[index], policy=self._named(self.flows[index].policy))

    def _named(self, policy: Wire) -> Wire:
        settings = policy_items(policy)
        if "on_failure" not in settings:
            return policy
        handler = settings["on_failure"]
        if isinstance(handler, dict) and "flow" in handler:
            index, more = handler["flow"]
            settings["on_failure"] = {"flow": [self.flows[index].reference, self._named(more)]}
        return {"dict": [part for pair in settings.items() for part in pair]}

    def _info(self, index: int, made: Made, global_name: str) -> FlowInfo:
        name = made.name or global_name or _from_implementation(made.implementation)
        reference = f"{made.label}:{name}"
        if reference in self.by_reference:
            reference = f"{reference}#{index}"
        return FlowInfo(
            reference,
            name,
            made.label,
            global_name,
            made.line,
            made.doc,
            made.arguments,
            made.declared,
            made.policy if policy_items(made.policy) else None,
            made.returns,
            made.description,
            made.tags,
        )

    # -- finding ---------------------------------------------------------------------------------------

    def of_module(self, label: str) -> list[int]:
        """The indices of the flows that belong to a module, in order."""
        return [index for index, info in enumerate(self.flows) if info.label == label]

    @property
    def implementations(self) -> dict[str, FlowInfo]:
        """The flow of each implementation that has a name, by how the interpreter shows that: ``//a.flow._f``."""
        made = zip(self._made, self.flows, strict=False)
        return {each.implementation: info for each, info in made if not each.implementation.endswith(".lambda")}

    def reference(self, index: int) -> str:
        """What the journal calls a flow.

        Raises:
            HostError: it is being made by a module that still loads.
        """
        if index >= len(self.flows):
            raise self._refuse(
                "a flow crosses a boundary only once its module is loaded, so it cannot be a default there",
                "write `default = None`, and choose the flow in the implementation",
            )
        return self.flows[index].reference

    def index_of(self, reference: str) -> int:
        """The index of the flow that the journal calls ``reference``.

        Raises:
            HostError: there is none.
        """
        index = self.by_reference.get(reference)
        if index is None:
            near = did_you_mean(reference, self.by_reference)
            raise self._refuse(f"there is no flow {short_name(reference)} in this program{near}")
        return index

    def raise_unbound(self, index: int) -> None:
        """Refuses to enter a flow that no global of its module leads to.

        Raises:
            HostError: always.
        """
        info = self.flows[index]
        raise self._refuse(
            f"the flow made at {info.place} is not bound to a global of {short_name(info.label)}, "
            "so it cannot be found again",
            "bind it to a name of the module, or keep it in a list, dict or struct that is bound, "
            "or in the `uses` of a flow that is",
        )

    def _refuse(self, message: str, hint: str = "") -> HostError:
        return self._state.refuse(HostError(message, hint=hint))


def _from_implementation(function: str) -> str:
    return function.rpartition(".")[2].removeprefix("_").removesuffix("_impl") or "flow"
