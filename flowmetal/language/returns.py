"""What a flow returns, as ``flow(…, returns = …)`` declares it, and where a value is something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowmetal.errors import UsageError
from flowmetal.language.argument_types import (
    Misdeclared,
    Unfit,
    check_declaration,
    options_of,
    type_name,
    validate_value,
)
from flowmetal.values import Wire, to_text


class Misfit(Exception):
    """A value that is none of the type: ``at`` is the path to what is wrong in it, "" for all of it."""

    def __init__(self, at: str, got: str, why: str) -> None:
        super().__init__(why)
        self.at = at
        self.got = got
        self.why = why


@dataclass(frozen=True, slots=True)
class Returns:
    """A declared type; ``options`` are as in a declared argument."""

    type: str
    options: Mapping[str, Wire]

    @staticmethod
    def from_wire(wire: Wire) -> Returns | None:
        """The type in the prelude's ``[type, {"dict": options}]``; None of None.

        Raises:
            UsageError: no value would fit.
        """
        if wire is None:
            return None
        kind, options = wire
        settings = options_of(options)
        try:
            check_declaration(kind, settings)
        except Misdeclared as error:
            raise UsageError(f"`returns`: {error}") from None
        return Returns(kind, settings)

    def to_wire(self) -> Wire:
        """The declaration as plain data again."""
        return [self.type, {"dict": [part for pair in self.options.items() for part in pair]}]

    @property
    def text(self) -> str:
        """How a person is told of it: ``list[int]``."""
        if self.type == "list" and self.item is not None:
            return f"list[{self.item.text}]"
        if self.type == "choice":
            return f"choice[{', '.join(to_text(each, 40) for each in self.options['choices'])}]"
        return self.type

    @property
    def item(self) -> Returns | None:
        """The type of a list's items, if it is declared."""
        wire = self.options.get("of")
        return Returns(wire[0], options_of(wire[1])) if wire is not None else None

    def fitted(self, value: Wire, at: str = "") -> Wire:
        """The value as the caller gets it: an int as a float where one is declared, else as it is.

        Raises:
            Misfit: it is none of this type.
        """
        item = self.item
        if self.type == "list" and item is not None and isinstance(value, list):
            return [item.fitted(each, f"{at}[{number}]") for number, each in enumerate(value)]
        try:
            return validate_value(self.type, self.options, value)
        except Unfit as error:
            raise Misfit(at, type_name(value), str(error)) from None

    def says(self, flow: str, misfit: Misfit) -> str:
        """What is wrong with what a flow returned."""
        where = f"at {misfit.at}" if misfit.at else "got"
        return f"{flow} returns: {self.text}, {where}: {misfit.got} ({misfit.why})"
