"""Declared arguments of a flow: binding, defaults and validation, the same for calls in flows and for command lines.

A declaration comes from the prelude's ``args.string(…)`` and friends as wire data:
``[name, type, required, default, doc, {"dict": options}]``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.language.argument_texts import parse_text
from flowmetal.language.argument_types import (
    Misdeclared,
    Unfit,
    check_declaration,
    options_of,
    parse_timestamp,
    validate_value,
)
from flowmetal.policy import SETTINGS
from flowmetal.values import Wire, to_text

RESERVED: Final = frozenset(
    [
        "and",
        "as",
        "assert",
        "async",
        "await",
        "break",
        "class",
        "continue",
        "def",
        "del",
        "elif",
        "else",
        "except",
        "finally",
        "for",
        "from",
        "global",
        "if",
        "import",
        "in",
        "is",
        "lambda",
        "load",
        "nonlocal",
        "not",
        "or",
        "pass",
        "raise",
        "return",
        "try",
        "while",
        "with",
        "yield",
    ]
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ArgumentError(UsageError):
    """An argument that does not fit its declaration."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One declared argument; ``default`` and the values of ``options`` are wire data."""

    name: str
    type: str
    required: bool
    default: Wire
    doc: str
    options: Mapping[str, Wire]

    @staticmethod
    def from_wire(wire: Wire) -> Argument:
        """An argument as the prelude declares it.

        Raises:
            ArgumentError: a name that cannot be one, or a default that does not fit.
        """
        name, kind, required, default, doc, options = wire
        if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name):
            near = re.sub(r"\W", "_", str(name))
            raise ArgumentError(
                f"`{name}` cannot be the name of an argument",
                remedy=f"call it `{near}`" if _IDENTIFIER.fullmatch(near) else "",
            )
        if name in RESERVED:
            raise ArgumentError(f"`{name}` is a reserved word of the language", remedy=f"call it `{name}_`")
        if not isinstance(doc, str):
            raise ArgumentError(f"the `doc` of the argument `{name}` is a text, not {to_text(doc, 60)}")
        settings = options_of(options)
        try:
            check_declaration(kind, settings)
            if not required and default is not None:
                default = validate_value(kind, settings, default)
        except Unfit as error:
            raise ArgumentError(f"the default of the argument `{name}` {error}") from None
        except Misdeclared as error:
            raise ArgumentError(f"the argument `{name}`: {error}") from None
        return Argument(name, kind, required, default, doc, settings)

    def to_wire(self) -> Wire:
        """The declaration as plain data again."""
        pairs: list[Wire] = []
        for key, value in self.options.items():
            pairs += (key, value)
        return [self.name, self.type, self.required, self.default, self.doc, {"dict": pairs}]

    def validate(self, value: Wire) -> Wire:
        """The value as the flow gets it; None where that is the default, so that it can be passed on.

        Raises:
            ArgumentError: it does not fit.
        """
        if value is None and not self.required and self.default is None:
            return None
        try:
            return validate_value(self.type, self.options, value)
        except Unfit as error:
            raise ArgumentError(f"the argument `{self.name}` {error}") from None

    def parse(self, text: str) -> Wire:
        """The value of a command-line text, by type.

        Raises:
            ArgumentError: it does not fit.
        """
        try:
            return validate_value(self.type, self.options, parse_text(self.type, self.options, text))
        except Unfit as error:
            raise ArgumentError(f"the argument `{self.name}` {error}") from None


def bind(flow: str, declared: Sequence[Argument], args: Sequence[Wire], kwargs: Sequence[Wire]) -> list[Wire]:
    """Values for every declared argument, flat: name, value, and so on.

    ``args`` are by position, in the order of declaration; ``kwargs`` are flat name, value pairs.

    Raises:
        ArgumentError: too many, unknown (with the nearest name), given twice, missing, or unfit.
    """
    if len(args) > len(declared):
        count = f"{len(declared)} argument{'' if len(declared) == 1 else 's'}"
        raise ArgumentError(f"{flow} takes {count}, got {len(args)} by position")
    names = [argument.name for argument in declared]
    given: dict[str, Wire] = dict(zip(names, args, strict=False))
    for at in range(0, len(kwargs), 2):
        name = kwargs[at]
        if name not in names:
            remedy = f"it takes: {', '.join(names)}"
            if name in SETTINGS:
                remedy += f"; settings of a start are given by `options({flow}, {name} = …)`"
            raise ArgumentError(f"{flow} has no argument `{name}`{did_you_mean(name, names)}", remedy=remedy)
        if name in given:
            raise ArgumentError(f"{flow} got the argument `{name}` twice")
        given[name] = kwargs[at + 1]
    bound: list[Wire] = []
    for argument in declared:
        if argument.name in given:
            bound += (argument.name, argument.validate(given[argument.name]))
        elif argument.required:
            raise ArgumentError(f"{flow} needs the argument `{argument.name}` ({argument.type})")
        else:
            bound += (argument.name, argument.default)
    return bound


def moment_of(value: Wire) -> float:
    """Seconds since the epoch of an RFC 3339 text with an offset.

    Raises:
        ArgumentError: it is not one.
    """
    if not isinstance(value, str):
        raise ArgumentError(f"a moment is an RFC 3339 text such as 2030-01-01T00:00:00Z, not {to_text(value, 60)}")
    try:
        return parse_timestamp(value)
    except Unfit as error:
        raise ArgumentError(f"the timestamp {error}") from None
