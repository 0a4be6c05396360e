"""What a loaded program knows of its flows.  Plain data: the engine and the commands use it without the interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowmetal.language.arguments import Argument
from flowmetal.language.labels import short_name
from flowmetal.language.returns import Returns
from flowmetal.policy import check_policy
from flowmetal.values import Wire


@dataclass(frozen=True, slots=True)
class FlowInfo:
    """One flow: ``reference`` is what the journal calls it, unique in the program, ``//etl.flow:analyze``.

    ``policy`` are the settings that it was made with, a ``dict`` tag or None; ``returns`` is None if it may return
    anything; ``description`` is one line, "" for none.
    """

    reference: str
    name: str
    label: str
    global_name: str
    line: int
    doc: str
    arguments: tuple[Argument, ...]
    declared: bool
    policy: Wire = None
    returns: Returns | None = None
    description: str = ""
    tags: tuple[str, ...] = ()

    def to_data(self) -> list[Any]:
        """Plain data, for a frame."""
        arguments = [argument.to_wire() for argument in self.arguments]
        about = [self.reference, self.name, self.label, self.global_name, self.line, self.doc]
        returns = self.returns.to_wire() if self.returns is not None else None
        return [*about, arguments, self.declared, self.policy, returns, self.description, list(self.tags)]

    @staticmethod
    def from_data(data: list[Any]) -> FlowInfo:
        """The flow of plain data."""
        reference, name, label, global_name, line, doc, arguments, declared, policy, *more = data
        returns, description, tags = more
        if type(description) is not str or type(tags) is not list or not all(type(each) is str for each in tags):
            raise ValueError("a flow's description or tags are none")
        parsed = tuple(Argument.from_wire(argument) for argument in arguments)
        check_policy(policy, "made")
        return FlowInfo(
            reference,
            name,
            label,
            global_name,
            line,
            doc,
            parsed,
            declared,
            policy,
            Returns.from_wire(returns),
            description,
            tuple(tags),
        )

    @property
    def place(self) -> str:
        """``file:line`` of the call that made it."""
        return f"{short_name(self.label)}:{self.line}"
