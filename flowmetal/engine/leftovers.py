"""What is left to do for a run whose flow has ended, read from its history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgpack

from flowmetal.engine.attempts import policy_of
from flowmetal.engine.table import RootState
from flowmetal.errors import ValueCodecError
from flowmetal.journal.event_schema import KINDS
from flowmetal.journal.framing import unpack_plain
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.policy import policy_items
from flowmetal.values import Wire, err, failure_of, is_ok_packed, pack

_SLICE_BYTES: Final = 1024 * 1024
_ACTION, _CHILD, _RESULT, _CANCEL = KINDS["action"], KINDS["child"], KINDS["result"], KINDS["cancel_requested"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A flow that is to be run for a run whose own text is over: the event's callee, and what it is started with."""

    callee: str
    args: bytes
    name: str
    line: str
    modules: tuple[str, ...]
    grace_ms: int | None = None


@dataclass(slots=True)
class Ending:
    """A run whose flow has ended and that is not finished: what is still to be done, and what it waits for."""

    header: Header
    root: RootState
    modules: tuple[str, ...]
    value: bytes
    last_number: int
    waits_for: set[str]
    # The one that is done next is the last.
    left: list[Leftover]
    # The number of the cleanup or handler that is being run, and the failures of those that have been.
    under_way: int = 0
    failures: list[Wire] = field(default_factory=list)
    # Effects that were cut off and have yet to end: nothing is begun beside them.
    busy: int = 0

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.header.run_id


@dataclass(slots=True)
class Told:
    """What the history of a run's present attempt tells: what is left, what is under way, what failed.

    ``under_way`` is the number of a cleanup or handler without a result, 0 for none, ``grace_ms`` what it may take.
    ``failures`` are those of cleanups after the flow was over, or of the handler.
    """

    left: dict[int, Leftover] = field(default_factory=dict)
    under_way: int = 0
    grace_ms: int | None = None
    last_number: int = 0
    handled: bool = False
    is_over: bool = False
    failures: list[Wire] = field(default_factory=list)


@dataclass(slots=True)
class _Registered:
    """A cleanup that was registered, and what came of the action after it."""

    event: dict[str, Any]
    result: bytes | None = None

    @property
    def grace_ms(self) -> int:
        """How long it may take after a cancel."""
        grace_ms: int = msgpack.unpackb(self.event["a"])[3]
        return grace_ms


def read(journal: Journal, header: Header) -> Told:
    """What the history of a run's present attempt tells; everything of it must be committed."""
    told = Told()
    registered: dict[int, _Registered] = {}
    after = header.attempt_seq
    while events := journal.raw_history(header.run_id, after, _SLICE_BYTES):
        after = events[-1][0]
        for _, body in events:
            _note(unpack_plain(body), told, registered)
    for number, each in registered.items():
        made = _left(each)
        if made is not None:
            told.left[number] = made
    return told


def _note(event: dict[str, Any], told: Told, registered: dict[int, _Registered]) -> None:
    kind, number = event["k"], event.get("n", 0)
    if kind in (_ACTION, _CHILD):
        told.last_number = number
        _note_asked(event, told, registered)
    if (kind == _CHILD or (kind == _RESULT and not event.get("w"))) and number - 1 in registered:
        registered[number - 1].result = event["v"]
    if kind == _RESULT and number == told.under_way:
        if told.is_over and not is_ok_packed(event["v"]):
            told.failures.append(msgpack.unpackb(event["v"])["result"][2])
        told.under_way = 0
    elif kind == _CANCEL:
        told.is_over = True


def _note_asked(event: dict[str, Any], told: Told, registered: dict[int, _Registered]) -> None:
    verb, number = event["c"].partition(" ")[0], event["n"]
    if verb == "defer":
        registered[number] = _Registered(event)
    elif verb == "release":
        for each in msgpack.unpackb(event["a"])[0]:
            registered.pop(each, None)
    elif verb == "clean":
        begun = registered.pop(msgpack.unpackb(event["a"])[3], None)
        told.under_way, told.grace_ms = number, None if begun is None else begun.grace_ms
    elif verb == "on_failure":
        told.under_way, told.grace_ms, told.handled = number, None, True
        # What its cleanups came to has been told already.
        told.is_over, told.failures = True, []


def _left(registered: _Registered) -> Leftover | None:
    """What is to be run for a cleanup that was registered; None if what it was to undo was not Ok."""
    event = registered.event
    args, kwargs, settings, grace_ms, undoes_next = msgpack.unpackb(event["a"])
    if undoes_next:
        if registered.result is None or not is_ok_packed(registered.result):
            return None
        args = [msgpack.unpackb(registered.result)["result"][1]]
    reference = event["c"].partition(" ")[2]
    packed = pack([args, kwargs, settings, event["n"]])
    name, modules = event.get("m", reference), tuple(event.get("P", ()))
    return Leftover(f"clean {reference}", packed, name, event["l"], modules, grace_ms)


def handler_of(header: Header, value: bytes) -> Leftover:
    """The flow that is to be told of the failure in ``value``: it gets that, and a struct about the run."""
    handler = policy_of(header).on_failure
    assert handler is not None
    reference, settings = handler["flow"]
    about = {"struct": ["id", header.run_id, "name", header.name, "attempts", header.attempt]}
    failure = failure_of(msgpack.unpackb(value))
    try:
        packed = pack([[failure.to_wire(), about], [], settings])
    except ValueCodecError:
        packed = pack([[replace(failure, details=None, cause=None).to_wire(), about], [], settings])
    name = policy_items(settings).get("name", reference.rpartition(":")[2])
    return Leftover(f"on_failure {reference}", packed, name, "", ())


def with_failures(value: bytes, key: str, failures: list[Wire]) -> bytes:
    """An encoded Err whose details tell of further failures; as it is if they cannot hold them."""
    failure = failure_of(msgpack.unpackb(value))
    details = failure.details
    if details is not None and not (isinstance(details, dict) and "dict" in details):
        return value
    pairs = [] if details is None else details["dict"]
    told = replace(failure, details={"dict": [*pairs, key, failures[0] if len(failures) == 1 else failures]})
    try:
        return pack(err(told))
    except ValueCodecError:
        return value


def modules_of(journal: Journal, run_id: str) -> tuple[str, ...]:
    """The modules on the call stacks of all that led to a run."""
    ((_, body),) = journal.raw_history(run_id, 0, 1)
    return tuple(unpack_plain(body).get("P", ()))
