"""The settings that ``options()`` and ``flow()`` take: known by name, never ignored."""

from __future__ import annotations

import re
from typing import Final

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.values import Wire

_LATER: Final = frozenset(
    [
        "retries",
        "retry_delay",
        "backoff",
        "max_retry_delay",
        "jitter",
        "timeout",
        "schedule_timeout",
        "retry_on",
        "give_up_on",
        "interrupted",
        "idempotency_key",
        "parent_close",
        "continue_every",
        "on_failure",
        "max_parallel",
        "returns",
    ]
)
_KNOWN: Final = {"flow": ("name", "id", "detach"), "effect": ("name",), "made": ()}
SETTINGS: Final = frozenset({"name", "id", "detach", "retries", "timeout"})
"""Settings of a start that someone may take for arguments of the flow."""
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")


def policy_items(policy: Wire) -> dict[str, Wire]:
    """The settings of a policy by name; none for None."""
    if policy is None:
        return {}
    pairs = policy["dict"]
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def check_policy(policy: Wire, kind: str) -> None:
    """Raise unless every setting is known and fits; ``kind`` is flow, effect, or made (the keywords of ``flow()``).

    Raises:
        UsageError: names the setting, and the nearest one.
    """
    settings = policy_items(policy)
    for name, value in settings.items():
        _check_setting(name, value, kind)
    if "id" in settings and settings.get("detach") is not True:
        raise UsageError("`id` names a run of its own", remedy="add `detach = True`")


def check_setting_name(name: str, kind: str) -> None:
    """Raise unless there is a setting of that name for a flow, an effect, or ``made`` (the keywords of ``flow()``).

    Raises:
        UsageError: names the nearest.
    """
    known = _KNOWN[kind]
    where = "`flow()`" if kind == "made" else "`options()`"
    if name in _LATER:
        raise UsageError(f"{where} does not know `{name}` yet: it comes in a later version")
    if name not in known:
        if kind == "made" and name in _KNOWN["flow"]:
            raise UsageError(f"`{name}` is a setting of one start", remedy=f"write `options(f, {name} = …)`")
        candidates = known or ("implementation", "args", "name", "doc")
        raise UsageError(
            f"{where} has no setting `{name}`{did_you_mean(name, candidates)}",
            remedy=f"it takes: {', '.join(candidates)}",
        )


def _check_setting(name: str, value: Wire, kind: str) -> None:
    check_setting_name(name, kind)
    if name == "detach" and type(value) is not bool:
        raise UsageError("`detach` is True or False")
    if name == "name" and not (isinstance(value, str) and 0 < len(value) <= 200):
        raise UsageError("`name` is a text of 1 to 200 characters")
    if name == "id" and not (isinstance(value, str) and _RUN_ID.fullmatch(value)):
        raise UsageError("`id` is a run id: up to 100 of the characters A-Z a-z 0-9 _ -")
