"""Messages to a run: what is unread, and how much more of it a run takes.

A message comes as mail or, from a run of the same engine, at once; the run's engine makes an event ``signal`` of it.
The ``result`` of whoever received it names that event, so what is unread is told by the history alone: the signals
that no result names, in their order.

How many messages wait is counted beside the mail, under the number 0 of a run, which no mail has.  Whoever sends
counts up and the engine that lets a message be read counts down, each in the transaction of what it does; so a sender
learns that there is no room without reading a history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flowmetal.errors import QuotaError, UnknownRunError, UsageError
from flowmetal.identity import NAME_RULE, is_name
from flowmetal.journal import blobs, event_reading, meta
from flowmetal.journal.event_schema import KEYS
from flowmetal.journal.framing import damaged, seal, unseal
from flowmetal.journal.headers import Header, read_header
from flowmetal.journal.keys import event_key, events_range, parse_event_key, place_of, root_of, sequence_of
from flowmetal.journal.store import Store, Update, View, pages
from flowmetal.settings import Limits, format_size

VERSION: Final = 1
SIGNAL: Final = "signal"

_VERSION_BYTE: Final = bytes([VERSION])
_COUNT_NUMBER: Final = 0
_READ_LETTER: Final = b"\xa1" + KEYS["read"].encode()


@dataclass(frozen=True, slots=True)
class Unread:
    """A message that nobody has received: its event's sequence, and its name."""

    sequence: int
    name: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages a run has been sent that it has not read, and what their values take."""

    messages: int = 0
    size_bytes: int = 0


def check_name(name: str, what: str) -> str:
    """``name``, when ``what`` (``a message``) can be called so.

    Raises:
        UsageError: it cannot.
    """
    if not is_name(name):
        raise UsageError(f"{what} cannot be called {name[:80]!r}", remedy=f"a name is {NAME_RULE}")
    return name


# -- what is unread ------------------------------------------------------------------------------------


def unread(store: Store, run_id: str) -> list[Unread]:
    """The messages in a run's history that nobody has received, the oldest first; mail is not among them.

    Raises:
        JournalError: an event that tells of them is damaged.
    """
    came: dict[int, str] = {}
    for page in pages(store, "events", *events_range(run_id)):
        for key, data in page:
            kind = event_reading.kind_of(data)
            if kind == SIGNAL:
                came[sequence_of(key)] = event_reading.decode(data, place_of("events", key)).fields["name"]
            elif kind == "result" and _READ_LETTER in data:
                came.pop(event_reading.decode(data, place_of("events", key)).fields.get("read", 0), None)
    return [Unread(sequence, name) for sequence, name in came.items()]


def waiting(view: View, run_id: str) -> Waiting:
    """How much a run has been sent that it has not read, mail among it.

    Raises:
        JournalError: the count is damaged.
    """
    key = event_key(run_id.encode(), _COUNT_NUMBER)
    data = view.get("mail", key)
    if data is None:
        return Waiting()
    plain = unseal(data, VERSION, place_of("mail", key))
    if not (isinstance(plain, dict) and all(type(plain.get(each)) is int for each in ("messages", "bytes"))):
        raise damaged("a count of messages", place_of("mail", key))
    return Waiting(plain["messages"], plain["bytes"])


def count(update: Update, run_id: str, messages: int, size_bytes: int) -> None:
    """Counts messages of a run, down with numbers below zero; what comes to nothing leaves no record."""
    key = event_key(run_id.encode(), _COUNT_NUMBER)
    known = waiting(update, run_id)
    left = known.messages + messages
    if left <= 0:
        update.delete("mail", key)
    else:
        data = {"kind": "unread", "messages": left, "bytes": max(0, known.size_bytes + size_bytes)}
        update.put("mail", key, seal(_VERSION_BYTE, data))


def is_count(key: bytes) -> bool:
    """Whether a key of the table ``mail`` is that of a count and not of a message."""
    return sequence_of(key) == _COUNT_NUMBER


# -- sending -------------------------------------------------------------------------------------------


def receiver(view: View, run_id: str) -> Header:
    """The header of a run that may be written to.

    Raises:
        UnknownRunError: no such run.
        UsageError: it has finished or was moved.
    """
    header = read_header(view, run_id)
    if header is None:
        raise UnknownRunError(f"there is no run `{run_id}`")
    root = header if header.is_root else read_header(view, header.root)
    if root is not None and root.moved_to:
        raise UsageError(f"the run `{run_id}` was moved to {root.moved_to}", remedy="send the message there")
    if header.is_finished:
        raise UsageError(f"the run `{run_id}` has finished ({header.status}); it takes no messages")
    return header


def limits_of(view: View, run_id: str) -> Limits:
    """The limits that a run was started with.

    Raises:
        JournalError: its root's first event is missing or damaged.
    """
    root = root_of(run_id)
    for key, data in view.scan("events", *events_range(root)):
        return Limits.from_data(event_reading.decode(data, place_of("events", key)).fields.get("limits", {}))
    raise damaged("a run without a first event", f"events {root}")


def check_room(run_id: str, known: Waiting, size_bytes: int, limits: Limits) -> None:
    """Raise unless a run takes one more message of ``size_bytes``.

    Raises:
        QuotaError: names the limit.
    """
    if size_bytes > limits.message_bytes:
        raise QuotaError(
            f"the message is {size_bytes:,} bytes encoded; the limit `message_bytes` is "
            f"{format_size(limits.message_bytes)}",
            remedy="write large data to a file and send its path",
        )
    full = ""
    if known.messages >= limits.unread_messages:
        full = f"{known.messages:,} messages that it has not read, its limit `unread_messages`"
    elif known.size_bytes + size_bytes > limits.unread_bytes:
        full = f"{known.size_bytes:,} bytes of messages that it has not read; its limit `unread_bytes` is reached"
    if full:
        raise QuotaError(f"the run `{run_id}` has {full}", remedy="send it again when some were read")


def post_signal(update: Update, run_id: str, name: str, value: bytes, sender: str = "") -> bytes:
    """Leaves a message for a run as mail; its key.

    Raises:
        UnknownRunError: no such run.
        UsageError: it has finished or was moved.
        QuotaError: the value is too large, or too much waits that the run has not read; names the limit.
    """
    receiver(update, run_id)
    check_room(run_id, waiting(update, run_id), len(value), limits_of(update, run_id))
    message: dict[str, Any] = {"kind": SIGNAL, "name": name, "value": value}
    if sender:
        message["sender"] = sender
    key = event_key(run_id.encode(), meta.next_number(update, "mail"))
    update.put("mail", key, seal(_VERSION_BYTE, message))
    count(update, run_id, 1, len(value))
    return key


def send_signal(store: Store, run_id: str, name: str, value: bytes) -> bytes:
    """``post_signal`` from outside, in a transaction of its own."""
    with store.update() as update:
        return post_signal(update, run_id, name, value)


def has_mail(view: View, run_id: str) -> bool:
    """Whether a run has mail that its engine has not read."""
    start, stop = event_key(run_id.encode(), _COUNT_NUMBER + 1), run_id.encode() + b"\1"
    return next(iter(view.scan("mail", start, stop)), None) is not None


def recount(update: Update, events: list[tuple[bytes, bytes]]) -> None:
    """Counts the unread messages of an imported tree, which comes without its counts; its payloads are there.

    Raises:
        JournalError: an event or a payload is damaged.
    """
    sizes: dict[tuple[str, int], int] = {}
    for key, data in events:
        kind = event_reading.kind_of(data)
        if kind == SIGNAL or (kind == "result" and _READ_LETTER in data):
            run_id, sequence = parse_event_key(key)
            fields = event_reading.decode(data, place_of("events", key)).fields
            if kind == SIGNAL:
                sizes[(run_id, sequence)] = len(blobs.load(update, root_of(run_id), fields["value"]))
            else:
                sizes.pop((run_id, fields.get("read", 0)), None)
    for (run_id, _), size_bytes in sizes.items():
        count(update, run_id, 1, size_bytes)
