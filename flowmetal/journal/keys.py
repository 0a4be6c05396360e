"""Run ids, and the keys made of them.

A run's id is its path: the root's id, then ``.`` and the action number that started it for every level below,
``~`` and the attempt when a child was retried: ``etl-01hx.3.12~2``.  Byte order of keys therefore keeps a tree
together: all descendants of ``etl`` lie in [``etl.``, ``etl/``), all events of one run in [id ‖ 0, id ‖ 1).
"""

from __future__ import annotations

import os
import re
import struct
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.identity import MAX_RUN_ID_BYTES

MAX_USER_ID_CHARS: Final = 100
MAX_STEM_CHARS: Final = 60

_USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_RUN_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}(\.[1-9][0-9]{0,18}(~[2-9]|~[1-9][0-9]{1,18})?)*", re.ASCII)
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9_-]+")
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # without i, l, o, u: read aloud without doubt
_TIME_CHARS: Final = 10  # 50 bits of milliseconds: until the year 37,000
_RANDOM_CHARS: Final = 8

pack_sequence = struct.Struct(">Q").pack
_unpack_sequence = struct.Struct(">Q").unpack


def check_user_id(run_id: str) -> str:
    """``run_id`` when a person may give it to a root run.

    Raises:
        UsageError: other characters than ``[A-Za-z0-9_-]``, or not 1 to 100 of them.
    """
    if not _USER_ID.fullmatch(run_id):
        raise UsageError(
            f"{run_id!r} cannot be a run id", remedy=f"use 1 to {MAX_USER_ID_CHARS} of letters, digits, - and _"
        )
    return run_id


def is_run_id(run_id: str) -> bool:
    """Whether this could be the id of any run, root or child."""
    return len(run_id) <= MAX_RUN_ID_BYTES and _RUN_ID.fullmatch(run_id) is not None


def new_run_id(stem: str, now: float) -> str:
    """A fresh root id ``STEM-<time><random>``; ids of one stem sort by ``now`` (seconds since the epoch)."""
    clean = _NOT_ALLOWED.sub("-", stem).strip("-")[:MAX_STEM_CHARS] or "run"
    random_bits = int.from_bytes(os.urandom(5), "big")
    return f"{clean}-{_base32(int(now * 1000), _TIME_CHARS)}{_base32(random_bits, _RANDOM_CHARS)}"


def _base32(number: int, chars: int) -> str:
    return "".join(_ALPHABET[number >> (5 * place) & 31] for place in reversed(range(chars)))


def root_of(run_id: str) -> str:
    """The id of the root of a run's tree; its own id for a root."""
    return run_id.partition(".")[0]


def parent_of(run_id: str) -> str:
    """The id of the run that started this one, "" for a root."""
    return run_id.rpartition(".")[0]


def sort_key(run_id: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Sorts a parent before its children and action numbers as numbers."""
    root, *steps = run_id.split(".")
    pairs = []
    for step in steps:
        number, _, attempt = step.partition("~")
        pairs.append((int(number), int(attempt or 1)))
    return root, tuple(pairs)


def event_key(run_id: bytes, sequence: int) -> bytes:
    """The key of one event, and of one mail: run id ‖ 0 ‖ sequence."""
    return run_id + b"\0" + pack_sequence(sequence)


def parse_event_key(key: bytes) -> tuple[str, int]:
    """The run id and sequence of an event's or a mail's key.

    Raises:
        ValueError: not of that form.
    """
    if len(key) < 10 or key[-9] != 0:
        raise ValueError("not an event key")
    run_id = key[:-9].decode("ascii")
    if not is_run_id(run_id):
        raise ValueError("not a run id")
    return run_id, int(_unpack_sequence(key[-8:])[0])


def sequence_of(key: bytes) -> int:
    """The sequence at the end of a key known to be an event's."""
    return int(_unpack_sequence(key[-8:])[0])


def events_range(run_id: str, after_sequence: int = 0) -> tuple[bytes, bytes]:
    """[start, stop) of a run's events above ``after_sequence``."""
    name = run_id.encode()
    return event_key(name, after_sequence + 1), name + b"\1"


def descendants_range(run_id: str) -> tuple[bytes, bytes]:
    """[start, stop) of everything keyed by a descendant of ``run_id``, itself excluded."""
    name = run_id.encode()
    return name + b".", name + b"/"


def own_range(run_id: str) -> tuple[bytes, bytes]:
    """[start, stop) of everything keyed by run id ‖ 0 ‖ …: events, mail, blobs (of a root)."""
    name = run_id.encode()
    return name + b"\0", name + b"\1"


def place_of(table: str, key: bytes) -> str:
    """A key as a person can read and quote it: ``events etl-01.3 #17``."""
    if table in ("events", "mail"):
        try:
            run_id, sequence = parse_event_key(key)
        except ValueError:
            return f"{table} {key.hex()}"
        return f"{table} {run_id} #{sequence}"
    if table == "state":
        return f"state {_text(key)}"
    if table == "blobs":
        root, _, digest = key.partition(b"\0")
        return f"blobs {_text(root)} {digest.hex()}"
    if table.startswith("by_"):
        return f"{table} {_text(key.replace(bytes(1), b' '))}"
    return f"{table} {_text(key)}"


def _text(key: bytes) -> str:
    text = key.decode("ascii", "replace")
    return text if text.isascii() and text.isprintable() else key.hex()
