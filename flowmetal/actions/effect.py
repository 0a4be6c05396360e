"""What an effect is, and how the arguments of a call become its parameters."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from flowmetal.actions.services import Services
from flowmetal.errors import did_you_mean
from flowmetal.permissions.decision import Allowed, Decision, Want
from flowmetal.policy import EFFECT_SETTINGS
from flowmetal.settings import Limits
from flowmetal.values import Failure, Wire, from_python, to_text

_MOST_SHOWN: Final = 80

Arguments: TypeAlias = Mapping[str, Wire]
"""The arguments of one call by parameter name, complete and checked: what ``Effect.bind`` gives."""

REQUIRED: Final[Any] = object()
"""The default of a parameter that must be given."""


class EffectFailure(Exception):
    """An effect, or the binding of its arguments, ended in Err: a result of the flow, not a fault of ours.

    Args:
        message: what happened and, where there is one, the way out.
        kind: ``effect`` (the world refused), ``limit``, ``denied`` or ``error`` (the call itself is wrong).
        details: more about it, JSON-like.
    """

    def __init__(self, message: str, *, kind: str = "effect", details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.details: Wire = from_python(dict(details or {}))

    def to_failure(self, flow: str = "", source: str = "") -> Failure:
        """The failure that the flow gets; ``flow`` and ``source`` say who asked."""
        return Failure(self.kind, self.message, self.details, flow, source)


@dataclass(frozen=True, slots=True)
class EffectContext:
    """What an effect may know of the action it is performed for.

    ``idempotency_key`` is the same on every attempt, of which ``attempt`` counts from 1; relative paths are against
    ``base_dir`` (absolute).  ``run_key`` are the 16 random bytes of the root run.  ``services`` are what the engine
    shares among all actions; ``name`` is what the log calls the action.  An effect under way may add functions to
    ``final_words``: what they give, JSON-like, goes into the details of the failure when its time is up.  ``decide``
    asks the gate of something that could not be known before, such as where a redirect leads; ``timeout_seconds`` is
    how long the engine lets one attempt take, None for no end.  ``cut_off`` has an item once nobody waits for it.
    """

    idempotency_key: str
    base_dir: str
    action_name: str
    attempt: int = 1
    run_key: bytes = b""
    limits: Limits = field(default_factory=Limits)
    services: Services = field(default_factory=Services)
    name: str = ""
    final_words: list[Callable[[], Mapping[str, object]]] = field(default_factory=list)
    decide: Callable[[Want], Decision] | None = None
    timeout_seconds: float | None = None
    cut_off: list[bool] = field(default_factory=list)

    def go_on(self) -> None:
        """To be called now and then by what takes long in a thread.

        Raises:
            EffectFailure: of kind ``cancelled``: nobody waits for it any more, so it should leave nothing and end.
        """
        if self.cut_off:
            raise EffectFailure(f"{self.action_name} was cut off", kind="cancelled")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that an effect takes; ``type`` is a name in ``TYPES``."""

    name: str
    type: str
    doc: str
    default: Wire = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a call must give it."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing a flow can do to the world.

    ``mode`` says how it is performed: ``inline`` for what is over in microseconds and may hold the engine's thread;
    ``thread``; ``async``, a coroutine on the engine's loop, which is cancelled when the action is cancelled or out of
    time and must leave nothing behind; ``person`` for what somebody answers, whose ``perform`` gives the question;
    ``engine`` for what the engine does in its own journal, whose ``perform`` gives what is asked of it.

    ``want`` says what a call is about to do and must not touch the world; ``perform`` is given one ``Allowed`` for each
    of those wants, in their order.  Both raise ``EffectFailure``.  ``sample`` is a value such as ``perform`` gives, for
    runs that only pretend.  With ``is_variadic``, arguments beyond the parameters are gathered under ``args`` (a list)
    and ``kwargs`` (a ``dict`` tag).
    """

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    mode: Literal["inline", "thread", "async", "person", "engine"]
    want: Callable[[Arguments, EffectContext], list[Want]]
    perform: Callable[[tuple[Allowed, ...], Arguments, EffectContext], Wire | Awaitable[Wire]]
    sample: Wire = None
    is_variadic: bool = False

    def signature(self) -> str:
        """The call as documentation shows it: ``write(path: str, text: str)``."""
        shown = [
            f"{parameter.name}: {parameter.type}" + ("" if parameter.required else f" = {parameter.default!r}")
            for parameter in self.parameters
        ]
        if self.is_variadic:
            shown += ["*args", "**kwargs"]
        return f"{self.name}({', '.join(shown)})"

    def bind(self, args: Sequence[Wire] = (), kwargs: Mapping[str, Wire] | None = None) -> dict[str, Wire]:
        """The arguments of a call by name, every parameter in it.

        Raises:
            EffectFailure: of kind ``error``, saying which argument is wrong and how the effect is called.
        """
        names = [parameter.name for parameter in self.parameters]
        if len(args) > len(names) and not self.is_variadic:
            raise self._wrong(f"takes {len(names)} argument{'' if len(names) == 1 else 's'}, and {len(args)} are given")
        given = dict(zip(names, args, strict=False))
        more: list[Wire] = []
        for name, value in (kwargs or {}).items():
            if name not in names:
                if self.is_variadic:
                    more += (name, value)
                    continue
                raise self._wrong(f"has no argument `{name}`{did_you_mean(name, [*names, *EFFECT_SETTINGS])}")
            if name in given:
                raise self._wrong(f"is given `{name}` twice")
            given[name] = value
        for parameter in self.parameters:
            if parameter.name not in given:
                if parameter.required:
                    raise self._wrong(f"is called without `{parameter.name}`")
                given[parameter.name] = parameter.default
            elif not TYPES[parameter.type](given[parameter.name]):
                actual = type_name(given[parameter.name])
                hint = _as_words(given[parameter.name]) if parameter.type == "list" else ""
                raise self._wrong(f"takes a {parameter.type} as `{parameter.name}`, not a value of type {actual}{hint}")
        bound = {name: given[name] for name in names}
        return bound | {"args": list(args[len(names) :]), "kwargs": {"dict": more}} if self.is_variadic else bound

    def _wrong(self, problem: str) -> EffectFailure:
        return EffectFailure(f"{self.name} {problem}; it is called as {self.signature()}", kind="error")


def _as_words(wire: Wire) -> str:
    """How a text that was given for a list is written as one, or ""."""
    fits = isinstance(wire, str) and len(wire) <= _MOST_SHOWN and wire.split()
    return f" (write {to_text(wire.split())})" if fits else ""


# -- types of parameters -------------------------------------------------------------------------------


def type_name(wire: Wire) -> str:
    """The language's name for the type of a wire value."""
    if wire is None:
        return "NoneType"
    if isinstance(wire, dict):
        (tag,) = wire
        return str(tag)
    return type(wire).__name__


TYPES: Final[Mapping[str, Callable[[Wire], bool]]] = {
    "any": lambda wire: True,
    "bool": lambda wire: isinstance(wire, bool),
    "dict": lambda wire: type_name(wire) == "dict",
    "float": lambda wire: type_name(wire) in ("float", "int"),
    "int": lambda wire: type_name(wire) == "int",
    "list": lambda wire: isinstance(wire, list),
    "str": lambda wire: isinstance(wire, str),
    "dict | None": lambda wire: wire is None or type_name(wire) == "dict",
    "int | None": lambda wire: wire is None or type_name(wire) == "int",
    "list | None": lambda wire: wire is None or isinstance(wire, list),
    "str | None": lambda wire: wire is None or isinstance(wire, str),
}
"""The types a parameter may declare."""


# -- what errors say -----------------------------------------------------------------------------------


def plain(text: str) -> str:
    """``text`` fit for a message: control characters escaped, bytes that are no UTF-8 as ``\\xNN``."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def os_failure(verb: str, path: str, error: OSError, reason: str = "") -> EffectFailure:
    """The failure for an error of the operating system.

    Args:
        verb: what could not be done: ``read``, ``append to``.
        path: as the flow gave it.
        error: its number goes into the details.
        reason: replaces the operating system's own words.
    """
    code = errno_name(error)
    words = reason or (os.strerror(error.errno) if error.errno else str(error))
    words = words[:1].lower() + words[1:] if words[1:2].islower() else words
    return EffectFailure(f"cannot {verb} `{plain(path)}`: {words}", details={"path": plain(path), "errno": code})


def errno_name(error: OSError) -> str:
    """``ENOENT`` and the like; empty for an error without a number."""
    return errno.errorcode.get(error.errno or 0, "")
