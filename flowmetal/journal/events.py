"""Events: what is known about a run, each a small sealed map (see ``framing.py``).

On disk a map has keys of one letter, ``KEYS`` being the one table of them; readers see long names.  The kind is
always the first entry, so that ``kind_of`` can tell it without parsing.  Builders are plain functions because
the engine calls them a hundred thousand times a second: one packed dict, one checksum.

| kind | when | fields beside ``kind`` and ``at_ms`` |
| --- | --- | --- |
| started | a run begins | flow, name, args, detached; policy; for a child line, modules; for a root ``RootFacts`` |
| action | a flow asks for something | number, callee, args, line; value (record-only), due_ms, deps, name, modules |
| child | a pure child: call and result in one | number, callee, args, line, value, name |
| attempt | an action (0: the run itself) is tried again | number, attempt, repeated (it may have run); reason, due_ms |
| result | an action ended | number, value; late (only noted), by (grants), taken_from (an action), read (a signal) |
| timer_fired | a timer came due | number |
| signal | a message came | name, value; sender (a run) |
| grants | more was granted at a resume | grants |
| log | a flow printed | after (action number), index (k-th line after it), text, fields, line, level |
| cancel_requested | someone asked for the end | reason |
| code_changed | a person let a run go on with other code | program; versions, file, packages |
| finished | a run ended | status, value |
| continued | a run begins a new life, and its old events are removed | number (of its last action), life, args |
| asked | an action waits for a person | number, reason (input, grant, interrupted), text (the question) |
| paused | a root run that was paused is taken up again | since_ms (when it was paused), reason |

``args`` and ``value`` are codec bytes or a reference to ``blobs``.  The format lives for ever: a letter, a kind's
number or a field's meaning never changes; what is added gets a new letter and a new ``VERSION``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from flowmetal.journal.event_schema import KINDS, VERSION
from flowmetal.journal.framing import Field, pack_plain

_VERSION_BYTE: Final = bytes([VERSION])
_KIND_NAMES: Final = {number: kind for kind, number in KINDS.items()}

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it was written.

    ``at_ms`` is the wall clock in milliseconds since the epoch; ``fields`` has long names and no entry for what
    is absent; ``args`` and ``value`` in it are ``bytes`` or a reference (``blobs.py``).
    """

    kind: str
    at_ms: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RootFacts:
    """What only a root's ``started`` holds: all that a resume needs, for ever.

    ``program`` is the code graph as (label, hex sha256) in load order, ``main`` the label of the file that was
    started, ``nonce`` 16 random bytes, ``deadline_ms`` a wall clock or None, ``packages`` those that have modules in
    it, each as id, version, digest of its listing and entry; the rest is plain data.
    """

    program: Pairs
    main: str
    limits: Mapping[str, Any]
    grants: Any
    base_dir: str
    nonce: bytes
    versions: Mapping[str, str]
    labels: Mapping[str, str]
    deadline_ms: int | None = None
    on_deny: str = ""
    file: str = ""
    packages: Sequence[Sequence[str]] = ()


def _seal(fields: dict[str, Any]) -> bytes:
    body: bytes = _VERSION_BYTE + pack_plain(fields)
    return crc32(body).to_bytes(4, "big") + body


def started(
    at_ms: int,
    flow: str,
    name: str,
    args: Field,
    *,
    detached: bool = False,
    line: str = "",
    modules: Sequence[str] = (),
    policy: Field | None = None,
    root: RootFacts | None = None,
) -> bytes:
    """A run begins; ``root`` for a root run only, ``line`` (where its parent asked for it) for a child.

    ``modules`` are those on the call stack of whoever asked, inherited: see ``permissions``.
    """
    fields = {"k": 1, "t": at_ms, "f": flow, "m": name, "a": args, "x": detached}
    if line:
        fields["l"] = line
    if modules:
        fields["P"] = list(modules)
    if policy is not None:
        fields["G"] = policy
    if root is not None:
        fields.update(
            p=root.program, M=root.main, L=root.limits, g=root.grants, b=root.base_dir,
            o=root.nonce, V=root.versions, e=root.labels,
        )  # fmt: skip
        if root.deadline_ms is not None:
            fields["D"] = root.deadline_ms
        if root.on_deny:
            fields["W"] = root.on_deny
        if root.file:
            fields["R"] = root.file
        if root.packages:
            fields["K"] = [list(row) for row in root.packages]
    return _seal(fields)


def action(
    at_ms: int,
    number: int,
    callee: str,
    args: Field,
    line: str,
    value: Field | None = None,
    due_ms: int | None = None,
    deps: list[int] | None = None,
    name: str = "",
    modules: Sequence[str] = (),
) -> bytes:
    """A flow asks for something; with ``value`` it is record-only and complete."""
    fields = {"k": 2, "t": at_ms, "n": number, "c": callee, "a": args, "l": line}
    if value is not None:
        fields["v"] = value
    if due_ms is not None:
        fields["u"] = due_ms
    if deps is not None:
        fields["d"] = deps
    if name:
        fields["m"] = name
    if modules:
        fields["P"] = list(modules)
    return _seal(fields)


def child(at_ms: int, number: int, callee: str, args: Field, line: str, value: Field, name: str = "") -> bytes:
    """A pure child: its call and its Result in one."""
    fields = {"k": 3, "t": at_ms, "n": number, "c": callee, "a": args, "l": line, "v": value}
    if name:
        fields["m"] = name
    return _seal(fields)


def attempt(
    at_ms: int, number: int, attempt: int, repeated: bool = False, reason: str = "", due_ms: int | None = None
) -> bytes:
    """Action ``number``, or with 0 the run itself, is tried again, for the ``attempt``-th time, at ``due_ms``.

    ``reason`` is what came of the attempt before; ``repeated`` says that nobody knows, and that it may have run.
    """
    fields: dict[str, Any] = {"k": 4, "t": at_ms, "n": number, "i": attempt, "r": repeated}
    if reason:
        fields["z"] = reason
    if due_ms is not None:
        fields["u"] = due_ms
    return _seal(fields)


def asked(at_ms: int, number: int, reason: str, text: str) -> bytes:
    """Action ``number`` waits for a person: ``text`` is the question, ``reason`` why it is asked."""
    return _seal({"k": 13, "t": at_ms, "n": number, "z": reason, "s": text})


def paused(at_ms: int, since_ms: int, reason: str) -> bytes:
    """A root run was paused by someone from ``since_ms`` until now."""
    return _seal({"k": 14, "t": at_ms, "E": since_ms, "z": reason})


def result(
    at_ms: int,
    number: int,
    value: Field,
    late: bool = False,
    by: Sequence[str] = (),
    taken_from: int = 0,
    read: int = 0,
) -> bytes:
    """An action ended; a ``late`` one is noted and not given to the flow.

    ``by`` are the grants that allowed an effect; ``taken_from`` is the action of an earlier attempt whose result it is;
    ``read`` the sequence of the signal that it is the value of.
    """
    fields = {"k": 5, "t": at_ms, "n": number, "v": value}
    if late:
        fields["w"] = True
    if by:
        fields["B"] = list(by)
    if taken_from:
        fields["h"] = taken_from
    if read:
        fields["Y"] = read
    return _seal(fields)


def timer_fired(at_ms: int, number: int) -> bytes:
    """The timer of action ``number`` came due."""
    return _seal({"k": 6, "t": at_ms, "n": number})


def signal(at_ms: int, name: str, value: Field, sender: str = "") -> bytes:
    """A message came, from the run ``sender`` or, with "", from outside."""
    fields = {"k": 7, "t": at_ms, "m": name, "v": value}
    if sender:
        fields["A"] = sender
    return _seal(fields)


def grants(at_ms: int, grants: Any) -> bytes:
    """More was granted at a resume; plain data."""
    return _seal({"k": 8, "t": at_ms, "g": grants})


def log(at_ms: int, after: int, index: int, text: str, fields: Field, line: str, level: str = "info") -> bytes:
    """The ``index``-th line a flow printed after action number ``after`` (0: before its first)."""
    return _seal({"k": 9, "t": at_ms, "j": after, "q": index, "s": text, "F": fields, "l": line, "y": level})


def cancel_requested(at_ms: int, reason: str) -> bytes:
    """Someone asked for the end of this run."""
    return _seal({"k": 10, "t": at_ms, "z": reason})


def code_changed(
    at_ms: int,
    program: Pairs,
    *,
    versions: Mapping[str, str] | None = None,
    file: str = "",
    packages: Sequence[Sequence[str]] | None = None,
) -> bytes:
    """From here on the run uses this code graph; ``versions``, ``file`` and ``packages`` as in ``RootFacts``."""
    fields: dict[str, Any] = {"k": 11, "t": at_ms, "p": program}
    if versions:
        fields["V"] = versions
    if file:
        fields["R"] = file
    if packages is not None:
        fields["K"] = [list(row) for row in packages]
    return _seal(fields)


def continued(at_ms: int, number: int, life: int, args: Field) -> bytes:
    """A run begins its ``life``-th life; action ``number`` was the last of those before."""
    return _seal({"k": 15, "t": at_ms, "n": number, "I": life, "a": args})


def finished(at_ms: int, status: str, value: Field) -> bytes:
    """The run ended with ``status`` ok, err or cancelled and its Result."""
    return _seal({"k": 12, "t": at_ms, "S": status, "v": value})
