"""Headers: one record a run says what it is and where it stands, without reading its events.

Headers of *root* runs are indexed by status, flow and labels.  ``put_header`` is the only writer of headers, so
that an index is always written in the transaction of what it indexes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Final

from flowmetal.journal import framing
from flowmetal.journal.blobs import is_reference
from flowmetal.journal.framing import Field, damaged
from flowmetal.journal.keys import place_of
from flowmetal.journal.store import Update, View

VERSION: Final = 1
STATUSES: Final = ("running", "waiting", "paused", "ok", "err", "cancelled")
FINISHED: Final = frozenset({"ok", "err", "cancelled"})

_TERM_BYTES: Final = 256
_VERSION_BYTE: Final = bytes([VERSION])


@dataclass(frozen=True, slots=True)
class Header:
    """Where one run stands.

    ``parent`` is "" for a root; ``owner`` (16 bytes, or b"") is kept on the root only.  Times are milliseconds
    since the epoch.  ``program`` is ``program_digest`` of the code graph, ``args_digest`` and ``grants_digest``
    are hex digests of what the run was started with.  ``result`` is codec bytes or a reference to ``blobs``.
    ``moved_to`` names the home that a run was moved to, normally "".  ``attempt`` counts from 1; the present one began
    after the event ``attempt_seq`` and the action ``attempt_base``.  ``policy`` are encoded settings, b"" for none.
    ``deferred`` is 1 if the present attempt has registered cleanups.  ``ending`` says how far a run is whose flow has
    ended while something is still done for it, ``result`` being what it will end with: "cancelled" or "err" while its
    cleanups run, which will be its status, "failed" while its failure is handled.  By ``ends_by_ms`` a root that was
    started with a deadline, or a cleanup that runs on account of a cancel, must have ended, in whatever attempt.
    Results are taken over from the run ``rerun_of``, "" for none, up to the event ``rerun_upto``, 0 for all.
    ``life`` counts from 1; a later one began with the event ``life_seq``.
    ``started_by`` is the run whose flow started a root, "" if that was a person.
    ``paused_ms`` is when someone paused a root, and ``pause_reason`` what they said; kept until it is taken up again.
    """

    run_id: str
    flow: str
    name: str
    root: str
    created_ms: int
    status: str = "running"
    parent: str = ""
    owner: bytes = b""
    program: str = ""
    main: str = ""
    finished_ms: int | None = None
    wake_at_ms: int | None = None
    wake_action: int | None = None
    deadline_ms: int | None = None
    deaths: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1
    args_digest: str = ""
    grants_digest: str = ""
    result: Field | None = None
    moved_to: str = ""
    attempt_seq: int = 0
    attempt_base: int = 0
    policy: bytes = b""
    rerun_of: str = ""
    rerun_upto: int = 0
    started_by: str = ""
    paused_ms: int | None = None
    pause_reason: str = ""
    deferred: int = 0
    ending: str = ""
    ends_by_ms: int | None = None
    life: int = 1
    life_seq: int = 0

    @property
    def is_root(self) -> bool:
        """Whether nothing started this run."""
        return not self.parent

    @property
    def is_finished(self) -> bool:
        """Whether its status is final."""
        return self.status in FINISHED

    @property
    def is_held(self) -> bool:
        """Whether someone paused it: nobody takes it up before it is resumed.  One whose quota is full is not."""
        return self.status == "paused" and self.paused_ms is not None


def program_digest(program: Iterable[tuple[str, str]]) -> str:
    """The hex digest of a code graph: sha256 over its sorted (label, hex digest) pairs, a line each."""
    lines = (f"{label}\0{digest}\n" for label, digest in sorted(program))
    return sha256("".join(lines).encode()).hexdigest()


def digest_of(data: bytes) -> str:
    """The hex sha256, as ``args_digest`` and ``grants_digest`` hold it."""
    return sha256(data).hexdigest()


# -- bytes ---------------------------------------------------------------------------------------------

# Letters are the format: they never change, new fields get new ones.
_LETTERS: Final = {
    "run_id": "i", "flow": "f", "name": "m", "root": "R", "created_ms": "c", "status": "S", "parent": "P",
    "owner": "O", "program": "p", "main": "M", "finished_ms": "e", "wake_at_ms": "u", "wake_action": "n",
    "deadline_ms": "D", "deaths": "x", "labels": "l", "attempt": "t", "args_digest": "a", "grants_digest": "g",
    "result": "v", "moved_to": "T", "attempt_seq": "q", "attempt_base": "b", "policy": "G",
    "rerun_of": "E", "rerun_upto": "s", "started_by": "B", "paused_ms": "Z", "pause_reason": "z",
    "deferred": "d", "ending": "N", "ends_by_ms": "k",
    "life": "L", "life_seq": "Q",
}  # fmt: skip
_NAMES: Final = {letter: name for name, letter in _LETTERS.items()}
_DEFAULTS: Final = {item.name: item.default for item in fields(Header)}
_TYPES: Final = {item.name: str(item.type) for item in fields(Header)}
_WRITTEN: Final = [(name, letter, _DEFAULTS[name]) for name, letter in _LETTERS.items()]
_REQUIRED: Final = frozenset({"run_id", "flow", "name", "root", "created_ms"})


def encode_header(header: Header) -> bytes:
    """The sealed bytes of a header; fields at their default take none."""
    plain = {}
    for name, letter, default in _WRITTEN:
        value = getattr(header, name)
        if value != default and value != {}:
            plain[letter] = value
    return framing.seal(_VERSION_BYTE, plain)


def decode_header(data: bytes, key: bytes) -> Header:
    """The header stored under ``key`` of the table ``runs``.

    Raises:
        JournalError: damaged, newer, or not of this key.
    """
    place = place_of("runs", key)
    plain = framing.unseal(data, VERSION, place)
    if not isinstance(plain, dict):
        raise damaged("a header that is not a map", place)
    values = {_NAMES.get(letter, ""): value for letter, value in plain.items()}
    for name, value in values.items():
        if not _is_valid(name, value):
            raise damaged(f"the field {name or '?'} of a header", place)
    if not values.keys() >= _REQUIRED or values["run_id"].encode("utf-8", "replace") != key:
        raise damaged("a header that is not of its key", place)
    return Header(**values)


def _is_valid(name: str, value: Any) -> bool:
    kind = _TYPES.get(name)
    if name == "status":
        return value in STATUSES
    if name == "owner":
        return type(value) is bytes and len(value) == 16
    if name == "result":
        return type(value) is bytes or is_reference(value)
    if name == "labels":
        return type(value) is dict and all(type(key) is type(item) is str for key, item in value.items())
    if kind in ("str", "bytes"):
        return type(value).__name__ == kind
    return kind in ("int", "int | None") and type(value) is int


# -- the table and its indexes -------------------------------------------------------------------------


def read_header(view: View, run_id: str) -> Header | None:
    """The header of a run, or None.

    Raises:
        JournalError: it is damaged.
    """
    key = run_id.encode("utf-8", "replace")
    data = view.get("runs", key) if 0 < len(key) <= 511 else None
    return None if data is None else decode_header(data, key)


def put_header(update: Update, header: Header, previous: Header | None) -> None:
    """Write a header; of a root also its index entries, removing those of ``previous`` that no longer hold."""
    update.put("runs", header.run_id.encode(), encode_header(header))
    if not header.is_root:
        return
    new = index_keys(header)
    old = index_keys(previous) if previous is not None else set()
    for table, key in old - new:
        update.delete(table, key)
    for table, key in new - old:
        update.put(table, key, b"")


def remove_header(update: Update, header: Header) -> None:
    """Delete a header and its index entries."""
    update.delete("runs", header.run_id.encode())
    if header.is_root:
        for table, key in index_keys(header):
            update.delete(table, key)


def index_keys(header: Header) -> set[tuple[str, bytes]]:
    """The (table, key) of every index entry of a root."""
    run_id = header.run_id.encode()
    keys = {("by_status", index_prefix(header.status) + run_id), ("by_flow", index_prefix(header.flow) + run_id)}
    keys.update(("by_label", index_prefix(label_term(*label)) + run_id) for label in header.labels.items())
    return keys


def label_term(name: str, value: str) -> str:
    """A label as one term."""
    return f"{name}={value}"


def index_prefix(term: str) -> bytes:
    """What the index keys of a term begin with; a long term is cut and told apart by its digest."""
    data = term.encode("utf-8", "surrogatepass")
    if len(data) > _TERM_BYTES or b"\0" in data:
        head = data.replace(b"\0", b"")[: _TERM_BYTES - 64]
        data = head + sha256(data).hexdigest().encode()
    return data + b"\0"


def index_range(term: str) -> tuple[bytes, bytes]:
    """[start, stop) of the index keys of a term."""
    prefix = index_prefix(term)
    return prefix, prefix[:-1] + b"\1"
