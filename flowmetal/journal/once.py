"""Keys by which something is done once in a home.

A *claim* says which action holds a key, what it asked for, and what came of it.  It is written in the transaction of
the action that is the first to ask, and gets its value in the transaction of that action's result.  Three keys of
``meta`` belong to it:

    once ‖ 0 ‖ sha256 of the key             the claim
    claims ‖ 0 ‖ root id ‖ 0 ‖ sha256        what goes when the root goes
    held ‖ 0 ‖ root id ‖ 0 ‖ sha256          while it has no value: what an engine that takes the root up must know
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from flowmetal.journal.blobs import is_reference
from flowmetal.journal.framing import Field, damaged, seal, unseal
from flowmetal.journal.keys import is_run_id, root_of
from flowmetal.journal.store import Update, View

VERSION: Final = 1
_VERSION_BYTE: Final = bytes([VERSION])
_CLAIM: Final = b"once\0"
_OF_ROOT: Final = b"claims\0"
_HELD: Final = b"held\0"
_LETTERS: Final = {"key": "k", "what": "c", "digest": "a", "run_id": "i", "number": "n", "value": "v"}
_TYPES: Final = {"key": str, "what": str, "digest": bytes, "run_id": str, "number": int}


@dataclass(frozen=True, slots=True)
class Claim:
    """Who holds a key.

    ``what`` was asked for by action ``number`` of ``run_id``; ``digest`` is of that and of its arguments.  ``value`` is
    the Result, codec bytes or a reference to a payload of the run's root; None while there is none.
    """

    key: str
    what: str
    digest: bytes
    run_id: str
    number: int
    value: Field | None = None

    @property
    def place(self) -> tuple[str, int]:
        """The action that holds it."""
        return self.run_id, self.number


def read_claim(view: View, key: str) -> Claim | None:
    """Who holds a key, or None.

    Raises:
        JournalError: the claim is damaged.
    """
    name = sha256(key.encode()).digest()
    record = view.get("meta", _CLAIM + name)
    return None if record is None else decode_claim(_CLAIM + name, record)


def decode_claim(key: bytes, record: bytes) -> Claim:
    """The claim stored under ``key`` of ``meta``.

    Raises:
        JournalError: damaged, newer, or not of this key.
    """
    place = f"meta once {key[len(_CLAIM) :].hex()}"
    plain = unseal(record, VERSION, place)
    if not isinstance(plain, dict):
        raise damaged("a claim that is not a map", place)
    fields: dict[str, Any] = {name: plain.get(letter) for name, letter in _LETTERS.items()}
    if not all(type(fields[name]) is kind for name, kind in _TYPES.items()) or not is_run_id(fields["run_id"]):
        raise damaged("a field of a claim", place)
    if not (fields["value"] is None or type(fields["value"]) is bytes or is_reference(fields["value"])):
        raise damaged("the value of a claim", place)
    if _CLAIM + sha256(fields["key"].encode()).digest() != key:
        raise damaged("a claim that is not of its key", place)
    return Claim(**fields)


def put_claim(update: Update, claim: Claim) -> None:
    """Write who holds a key, in place of who held it before."""
    previous = read_claim(update, claim.key)
    if previous is not None:
        remove_claim(update, previous)
    name = sha256(claim.key.encode()).digest()
    plain = {letter: getattr(claim, field) for field, letter in _LETTERS.items()}
    update.put("meta", _CLAIM + name, seal(_VERSION_BYTE, plain))
    update.put("meta", _of(_OF_ROOT, root_of(claim.run_id)) + name, b"")
    if claim.value is None:
        update.put("meta", _of(_HELD, root_of(claim.run_id)) + name, b"")


def remove_claim(update: Update, claim: Claim) -> None:
    """Let go of a key."""
    name = sha256(claim.key.encode()).digest()
    update.delete("meta", _CLAIM + name)
    for prefix in (_OF_ROOT, _HELD):
        update.delete("meta", _of(prefix, root_of(claim.run_id)) + name)


def held_by(view: View, root: str) -> list[Claim]:
    """The claims of a root's tree that have no value yet.

    Raises:
        JournalError: one of them is damaged.
    """
    found = (_claim_at(view, name) for name in _names(view, _HELD, root))
    return [claim for claim in found if claim is not None]


def claims_of(view: View, root: str) -> list[tuple[bytes, bytes]]:
    """Keys and records of all claims of a root's tree."""
    pairs = ((_CLAIM + name, view.get("meta", _CLAIM + name)) for name in _names(view, _OF_ROOT, root))
    return [(key, record) for key, record in pairs if record is not None]


def forget_claims(update: Update, root: str, most: int | None = None) -> int:
    """Let go of the keys that a root's tree holds, ``most`` of them or all; how many it were."""
    names = list(islice(_names(update, _OF_ROOT, root), most))
    for name in names:
        update.delete("meta", _CLAIM + name)
        for prefix in (_OF_ROOT, _HELD):
            update.delete("meta", _of(prefix, root) + name)
    return len(names)


def has_claims(view: View) -> bool:
    """Whether there is any in the home."""
    return next(iter(view.scan("meta", _CLAIM, _CLAIM[:-1] + b"\1")), None) is not None


def is_claim(key: bytes) -> bool:
    """Whether a key of ``meta`` is that of a claim."""
    return key.startswith(_CLAIM)


def _claim_at(view: View, name: bytes) -> Claim | None:
    record = view.get("meta", _CLAIM + name)
    return None if record is None else decode_claim(_CLAIM + name, record)


def _names(view: View, prefix: bytes, root: str) -> Iterator[bytes]:
    start = _of(prefix, root)
    return (key[len(start) :] for key, _ in view.scan("meta", start, start[:-1] + b"\1"))


def _of(prefix: bytes, root: str) -> bytes:
    return prefix + root.encode() + b"\0"
