"""What an action of a worker must look like before anything is written or done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from flowmetal.engine.table import CLEANUP_VERBS, FLOW_VERBS, HotRun
from flowmetal.errors import FlowmetalError, QuotaError
from flowmetal.identity import child_id, is_name
from flowmetal.policy import check_policy, policy_items
from flowmetal.settings import MAX_DURATION_SECONDS
from flowmetal.values import Wire

RECORDED: Final = frozenset({"now", "random", "uuid", "expose"})
"""Actions whose value the worker makes itself."""

_MAX_NAME: Final = 1_024
_MAX_MODULES: Final = 1_000
_MAX_MOMENT: Final = 253_402_300_800
"""The year 10,000, in seconds since the epoch."""


class BadMessage(FlowmetalError):
    """A worker said what it cannot say: it is ended."""


def check_names(*texts: str) -> None:
    """Callees, lines and names are short."""
    if any(len(text) > _MAX_NAME for text in texts):
        raise BadMessage("a name that is too long")


def check_size(run: HotRun, written: Mapping[bytes, int]) -> None:
    """Raise when the tree of a run has written all that it may: it is paused, and what it has asked for is recorded.

    Raises:
        QuotaError: names the limit and how to go on.
    """
    most = run.root.limits.journal_bytes_per_run
    if written.get(run.root_key, 0) > most:
        root = run.root.header.run_id
        raise QuotaError(
            f"{root} has written more than {most:,} bytes to its journal, its limit `journal_bytes_per_run`",
            remedy=f"to let it go on: flowmetal resume {root} --limit journal_bytes_per_run={2 * most}",
        )


def check_exposed(wire: Wire) -> None:
    """What ``expose`` shows: a key and a value."""
    if not (isinstance(wire, list) and len(wire) == 2 and type(wire[0]) is str and is_name(wire[0])):
        raise BadMessage("an expose of no key")


def check_modules(run: HotRun, modules: list[str]) -> None:
    """Whose doing an action is: some of the program's modules.

    A worker that leaves one out has the authority of the rest; how far that reaches is in docs/architecture.md.
    """
    if len(modules) > _MAX_MODULES or not all(module in run.root.program.sources for module in modules):
        raise BadMessage("a call stack with modules that are none of the program")


def check_action(run: HotRun, number: int, verb: str, target: str, wire: Any, deps: list[int]) -> None:
    """Raise unless the action may be written down.

    Raises:
        BadMessage: says what is wrong with it.
    """
    if not isinstance(wire, list):
        raise BadMessage("an action without arguments")
    if verb in CLEANUP_VERBS:
        _check_cleanup(run, number, verb, target, wire, deps)
        return
    if verb in ("call", "run", "do", "start"):
        _check_start(run, number, verb, target, wire, deps)
        return
    if target or deps or verb not in _CHECKS:
        raise BadMessage(f"an unknown action {verb[:40]!r}")
    if not _CHECKS[verb](run, wire):
        raise BadMessage(f"a {verb} with other arguments than it takes")


def _check_start(run: HotRun, number: int, verb: str, target: str, wire: list[Wire], deps: list[int]) -> None:
    if verb in FLOW_VERBS:
        if target not in run.root.program.flows:
            raise BadMessage(f"a call of {target[:200]}, which is no flow of the program")
        child_id(run.run_id, number)
    if len(wire) not in (2, 3) or not is_call(wire):
        raise BadMessage("a call without arguments")
    if len(wire) == 3:
        policy = wire[2]
        if not (
            isinstance(policy, dict) and "dict" in policy and all(type(name) is str for name in policy["dict"][::2])
        ):
            raise BadMessage("a policy that is none")
        check_policy(policy, "flow" if verb in FLOW_VERBS else "effect")
        handler = policy_items(policy).get("on_failure")
        if handler is not None and handler["flow"][0] not in run.root.program.flows:
            raise BadMessage("a failure that is handled by what is no flow of the program")
    if not all(_is_task(run, each) for each in deps) or not tasks_in(wire[:2]) <= set(deps):
        raise BadMessage("a dependency on a task that does not exist")


def _check_cleanup(run: HotRun, number: int, verb: str, target: str, wire: list[Wire], deps: list[int]) -> None:
    """``defer`` has the cleanup's time in milliseconds and whether it undoes what comes next, ``clean`` whose it is."""
    more, wire = wire[3:], wire[:3]
    _check_start(run, number, "call", target, wire if wire[2:] != [None] else wire[:2], deps)
    if deps or tasks_in(wire):
        raise BadMessage(f"a {verb} that waits for tasks")
    if verb == "defer":
        good = len(more) == 2 and type(more[0]) is int and type(more[1]) is bool
        # The cleanup may get any later number.
        child_id(run.run_id, 10**12)
    else:
        good = len(more) == 1 and type(more[0]) is int and 0 < more[0] < number
    if not good or (verb == "defer" and not 0 <= more[0] <= MAX_DURATION_SECONDS * 1_000):
        raise BadMessage(f"a {verb} with other arguments than it takes")


def is_call(wire: Wire) -> bool:
    """Whether wire data begins with a list of arguments and a list of names and values."""
    return (
        isinstance(wire, list)
        and len(wire) >= 2
        and isinstance(wire[0], list)
        and isinstance(wire[1], list)
        and len(wire[1]) % 2 == 0
        and all(type(name) is str for name in wire[1][::2])
    )


def tasks_in(wire: Wire) -> set[int]:
    """The numbers of all tasks in wire data."""
    found: set[int] = set()
    level = [wire]
    while level:
        item = level.pop()
        if type(item) is list:
            level.extend(item)
        elif type(item) is dict:
            if "task" in item:
                found.add(item["task"][0])
            else:
                level.extend(item.values())
    return found


def _is_task(run: HotRun, number: Wire) -> bool:
    if type(number) is not int:
        return False
    action = run.open.get(number)
    return number in run.task_results or (action is not None and action.verb in ("run", "start"))


def _is_number(wire: Wire, most: float) -> bool:
    return type(wire) in (int, float) and 0 <= wire <= most


def _is_duration(_run: HotRun, wire: list[Wire]) -> bool:
    return len(wire) == 1 and _is_number(wire[0], MAX_DURATION_SECONDS)


def _is_moment(_run: HotRun, wire: list[Wire]) -> bool:
    return len(wire) == 1 and type(wire[0]) in (int, float) and abs(wire[0]) <= _MAX_MOMENT


def _is_wait(run: HotRun, wire: list[Wire]) -> bool:
    return (
        len(wire) == 2
        and isinstance(wire[0], list)
        and all(_is_task(run, number) for number in wire[0])
        and (wire[1] is None or _is_number(wire[1], MAX_DURATION_SECONDS))
    )


def _may_continue(run: HotRun) -> bool:
    return not run.open and bool(run.header.flow)


def _is_wait_any(run: HotRun, wire: list[Wire]) -> bool:
    return _is_wait(run, wire) and len(wire[0]) > 0


_CHECKS: Final[dict[str, Callable[[HotRun, list[Wire]], bool]]] = {
    "sleep": _is_duration,
    "sleep_until": _is_moment,
    "wait": _is_wait,
    "wait_any": _is_wait_any,
    "cancel": lambda run, wire: len(wire) == 1 and _is_task(run, wire[0]),
    "close": lambda _run, wire: not wire,
    "release": lambda run, wire: (
        len(wire) == 1
        and isinstance(wire[0], list)
        and all(type(number) is int and 0 < number <= run.last_action for number in wire[0])
    ),
    "continue": lambda run, wire: len(wire) == 2 and is_call(wire) and not wire[0] and _may_continue(run),
}
