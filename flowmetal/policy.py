"""The settings that ``options()`` and ``flow()`` take, and that a call of an effect takes among its arguments: known by
name, checked where they are written, never ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.settings import parse_duration
from flowmetal.values import Failure, Wire, to_text

_TRYING: Final = (
    "retries",
    "retry_delay",
    "backoff",
    "max_retry_delay",
    "jitter",
    "timeout",
    "schedule_timeout",
    "retry_on",
    "give_up_on",
)
_OF_RUNS: Final = ("max_parallel", "continue_every")
_OF_ONE: Final = frozenset({"id", "parent_close", "idempotency_key"})
_KNOWN: Final = {
    "flow": ("name", "id", "parent_close", "idempotency_key", "on_failure", *_OF_RUNS, *_TRYING),
    "effect": ("name", "idempotency_key", *_TRYING, "interrupted"),
    "made": ("on_failure", *_OF_RUNS, *_TRYING),
}
SETTINGS: Final = frozenset({*_KNOWN["flow"], *_KNOWN["effect"]})
"""Settings of a start, which are never arguments of what is started."""
EFFECT_SETTINGS: Final = _KNOWN["effect"]
"""Settings that a call of an effect takes among its arguments."""
_ENGINES: Final = frozenset({"idempotency_key", "parent_close", *_OF_RUNS})
_KEY: Final = re.compile(r"[!-~]([ -~]{0,198}[!-~])?", re.ASCII)
_MOST: Final = 1_000_000
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MAX_RETRIES: Final = 1_000_000
_MAX_KINDS: Final = 100
_NEVER_AGAIN: Final = frozenset({"denied", "cancelled", "limit"})
"""Kinds of failures that another try would not mend: retried only if ``retry_on`` names them."""

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]
Interrupted: TypeAlias = Literal["repeat", "never", "ask"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How often and how long something is tried; times in seconds, None for no end.

    ``jitter`` is the part of a delay, 0 to 1, by which it may be longer.  ``interrupted`` says what becomes of an
    effect that was under way when its engine died; ``on_failure`` is the flow that is told of a flow's last failure.
    """

    retries: int = 0
    retry_delay_seconds: float = 1.0
    backoff: Backoff = "exponential"
    max_retry_delay_seconds: float = 60.0
    jitter: float = 0.0
    timeout_seconds: float | None = None
    schedule_timeout_seconds: float | None = None
    retry_on: tuple[str, ...] | None = None
    give_up_on: tuple[str, ...] = ()
    interrupted: Interrupted = "repeat"
    on_failure: Wire = None

    @property
    def is_plain(self) -> bool:
        """Whether it asks for one attempt, without an end."""
        return self == PLAIN

    def may_retry(self, failure: Failure, attempt: int) -> bool:
        """Whether the failure of attempt number ``attempt`` is followed by another."""
        if attempt > self.retries or failure.kind in self.give_up_on:
            return False
        return failure.kind in self.retry_on if self.retry_on is not None else failure.kind not in _NEVER_AGAIN

    def delay_seconds(self, attempt: int, chance: float) -> float:
        """The pause after the failure of attempt number ``attempt``; ``chance`` in [0, 1) is for the jitter."""
        # Beyond 2**60 any delay is cut by the maximum, and a float could overflow.
        factor = {"constant": 1.0, "linear": float(attempt), "exponential": 2.0 ** min(attempt - 1, 60)}[self.backoff]
        return min(self.retry_delay_seconds * factor, self.max_retry_delay_seconds) * (1 + self.jitter * chance)


_OF_FLOW: Final = ("implementation", "args", "name", "doc", "uses", "returns", "description", "tags")
_MEANT: Final = {"retry": "retries", "attempts": "retries", "max_retries": "retries", "delay": "retry_delay"}
"""What is written for a setting by people who know other systems, where another name is nearer by its letters."""

PLAIN: Final = Policy()
"""One attempt, without an end."""


def policy_items(policy: Wire) -> dict[str, Wire]:
    """The settings of a policy by name; none for None."""
    if policy is None:
        return {}
    pairs = policy["dict"]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def read_policy(wire: Wire) -> Policy:
    """The policy in checked settings."""
    settings = policy_items(wire)
    found = {field: read(settings[name]) for name, (field, read) in _READ.items() if settings.get(name) is not None}
    return Policy(**found) if found else PLAIN


def is_plain(settings: Wire) -> bool:
    """Whether a start with these settings needs nothing of the engine but the start."""
    return settings is None or (read_policy(settings).is_plain and _ENGINES.isdisjoint(policy_items(settings)))


def is_kept(settings: Wire) -> bool:
    """Whether a run must know with what settings it was started."""
    return settings is not None and not (
        read_policy(settings).is_plain and policy_items(settings).keys().isdisjoint(_OF_RUNS)
    )


def check_policy(policy: Wire, kind: str) -> None:
    """Raise unless every setting is known and fits; ``kind`` is flow, effect, or made (the keywords of ``flow()``).

    Raises:
        UsageError: names the setting, and the nearest one.
    """
    settings = policy_items(policy)
    for name, value in settings.items():
        check_setting_name(name, kind)
        if value is None and name in (*_READ, *_ENGINES):
            continue  # as if it had not been set
        if name in _CHECKS and not _CHECKS[name][0](value):
            raise UsageError(f"`{name}` is {_CHECKS[name][1]}, not {to_text(value, 60)}")


def check_setting_name(name: str, kind: str) -> None:
    """Raise unless there is a setting of that name for a flow, an effect, or ``made`` (the keywords of ``flow()``).

    Raises:
        UsageError: names the nearest.
    """
    known = _KNOWN[kind]
    where = "`flow()`" if kind == "made" else "`options()`"
    if name == "detach":
        raise UsageError("there is no setting `detach`", remedy="start a run of its own by `fctx.actions.start(f, …)`")
    if name not in known:
        if name == "returns":
            raise UsageError(f"{where} has no setting `returns`", remedy="it is of the flow: `flow(f, returns = …)`")
        if kind == "made" and name in _KNOWN["flow"]:
            raise UsageError(f"`{name}` is a setting of one start", remedy=f"write `options(f, {name} = …)`")
        if name == "interrupted":
            raise UsageError(
                "`interrupted` is a setting of effects: a flow that is interrupted is finished by replay",
                remedy="give it to the effects that the flow calls",
            )
        if name in SETTINGS:
            raise UsageError(f"`{name}` is a setting of flows, not of effects", remedy=f"it takes: {', '.join(known)}")
        candidates = (*_OF_FLOW, *known) if kind == "made" else known
        raise UsageError(
            f"{where} has no setting `{name}`{did_you_mean(_MEANT.get(name, name), candidates)}",
            remedy=f"it takes: {', '.join(candidates)}",
        )


# -- values of settings --------------------------------------------------------------------------------


def _is_duration(value: Wire) -> bool:
    try:
        parse_duration(value)
    except UsageError:
        return False
    return True


def _is_kinds(value: Wire) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= _MAX_KINDS
        and all(isinstance(kind, str) and 0 < len(kind) <= 100 for kind in value)
    )


def _one_of(*choices: str) -> tuple[Callable[[Wire], bool], str]:
    shown = ", ".join(f'"{choice}"' for choice in choices)
    return (lambda value: isinstance(value, str) and value in choices), f"one of {shown}"


def _is_handler(value: Wire) -> bool:
    if not (isinstance(value, dict) and isinstance(flow := value.get("flow"), list) and len(flow) == 2):
        return False
    reference, settings = flow
    if type(reference) not in (str, int) or not (isinstance(settings, dict) and isinstance(settings.get("dict"), list)):
        return False
    try:
        check_policy(settings, "flow")
    except UsageError:
        return False
    return not _OF_ONE & policy_items(value["flow"][1]).keys()


_DURATION: Final = (_is_duration, 'a duration, a number of seconds or a text such as "30s"')
_KINDS: Final = (_is_kinds, 'a list of kinds of failures, such as ["timeout", "effect"]')
_CHECKS: Final[dict[str, tuple[Callable[[Wire], bool], str]]] = {
    "parent_close": _one_of("abandon", "cancel", "terminate"),
    "idempotency_key": (
        lambda value: isinstance(value, str) and _KEY.fullmatch(value) is not None,
        "a text of 1 to 200 printable ASCII characters, with no space at its ends",
    ),
    "max_parallel": (lambda value: type(value) is int and 1 <= value <= _MOST, f"a whole number from 1 to {_MOST:,}"),
    "continue_every": (
        lambda value: type(value) is int and 1 <= value <= _MOST,
        f"a number of actions, from 1 to {_MOST:,}",
    ),
    "name": (lambda value: isinstance(value, str) and 0 < len(value) <= 200, "a text of 1 to 200 characters"),
    "id": (
        lambda value: isinstance(value, str) and _RUN_ID.fullmatch(value) is not None,
        "a run id, up to 100 of the characters A-Z a-z 0-9 _ -",
    ),
    "retries": (
        lambda value: type(value) is int and 0 <= value <= _MAX_RETRIES,
        f"a whole number from 0 to {_MAX_RETRIES:,}, the tries after the first",
    ),
    "retry_delay": _DURATION,
    "backoff": _one_of("constant", "linear", "exponential"),
    "max_retry_delay": _DURATION,
    "jitter": (lambda value: type(value) in (int, float) and 0 <= value <= 1, "a number from 0 to 1"),
    "timeout": _DURATION,
    "schedule_timeout": _DURATION,
    "retry_on": _KINDS,
    "give_up_on": _KINDS,
    "on_failure": (_is_handler, "a flow, with no `id`, `parent_close` or `idempotency_key` among its settings"),
    "interrupted": _one_of("repeat", "never", "ask"),
}
_READ: Final[dict[str, tuple[str, Callable[[Wire], Any]]]] = {
    "retries": ("retries", int),
    "retry_delay": ("retry_delay_seconds", parse_duration),
    "backoff": ("backoff", str),
    "max_retry_delay": ("max_retry_delay_seconds", parse_duration),
    "jitter": ("jitter", float),
    "timeout": ("timeout_seconds", parse_duration),
    "schedule_timeout": ("schedule_timeout_seconds", parse_duration),
    "retry_on": ("retry_on", tuple),
    "give_up_on": ("give_up_on", tuple),
    "interrupted": ("interrupted", str),
    "on_failure": ("on_failure", lambda value: value),
}
