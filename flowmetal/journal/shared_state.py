"""What the runs of a home share: values by name, each with a version.

The table ``state`` holds one sealed record a name.  It belongs to the home and not to a run: no ``gc`` removes it and
no run takes it along to another home.  A version counts the times that a name was set, and never goes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowmetal.journal.framing import damaged, seal, unseal
from flowmetal.journal.keys import place_of
from flowmetal.journal.store import Store, Update, View, pages

VERSION: Final = 1
_VERSION_BYTE: Final = bytes([VERSION])
_TYPES: Final = {"value": bytes, "version": int, "at_ms": int, "run": str}


@dataclass(frozen=True, slots=True)
class Shared:
    """What a name holds: codec bytes, set for the ``version``-th time by the run ``run`` at ``at_ms``."""

    value: bytes
    version: int
    at_ms: int
    run: str


def read_shared(view: View, name: str) -> Shared | None:
    """What a name holds, None if nobody has set it.

    Raises:
        JournalError: its record is damaged.
    """
    key = name.encode()
    data = view.get("state", key)
    return None if data is None else decode_shared(key, data)


def decode_shared(key: bytes, data: bytes) -> Shared:
    """The record under a key of the table ``state``.

    Raises:
        JournalError: it is damaged or newer.
    """
    place = place_of("state", key)
    plain = unseal(data, VERSION, place)
    if not (
        isinstance(plain, dict)
        and plain.keys() == _TYPES.keys()
        and all(type(plain[name]) is kind for name, kind in _TYPES.items())
        and plain["version"] > 0
    ):
        raise damaged("a record of shared state", place)
    return Shared(**plain)


def put_shared(update: Update, name: str, shared: Shared) -> None:
    """Sets what a name holds."""
    plain = {"value": shared.value, "version": shared.version, "at_ms": shared.at_ms, "run": shared.run}
    update.put("state", name.encode(), seal(_VERSION_BYTE, plain))


def all_shared(store: Store) -> Iterator[tuple[str, Shared]]:
    """All names in their order, with what they hold.

    Raises:
        JournalError: at a damaged record.
    """
    for page in pages(store, "state", b"", None):
        for key, data in page:
            yield key.decode("ascii", "replace"), decode_shared(key, data)
