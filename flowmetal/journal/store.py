"""The seam between the journal and what keeps its bytes.

A store is a handful of ordered tables of bytes with two kinds of transactions.  Everything the journal promises
follows from this contract, never from a particular store; ``tests/journal/test_store_contract.py`` holds every
store to it.

- A *view* reads one snapshot: what commits later, here or in another process, is not seen.  Keep it short
  (at most 100 ms): an old snapshot keeps every page that was replaced since.
- An *update* is the only writer of all processes while it lasts.  It sees its own writes, is durable when its
  block ends normally and leaves no trace when its block raises.  Begin, use and end it on one thread; never
  begin one inside another.
- Keys are 1 to 511 bytes, values any bytes.  A key outside of that is a fault of the caller (``InternalError``).
- Collect what a ``scan`` gives before writing to the table that it scans.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final, Protocol

TABLES: Final = ("runs", "events", "code", "blobs", "by_status", "by_flow", "by_label", "mail", "meta", "state")

MAX_KEY_BYTES: Final = 511


class View(Protocol):
    """Reads from one snapshot."""

    def get(self, table: str, key: bytes) -> bytes | None:
        """The value of ``key``, or None."""
        ...

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of [start, stop) in byte order of their keys; ``reverse`` gives the last first."""
        ...


class Update(View, Protocol):
    """A write transaction; reads see its own writes."""

    def put(self, table: str, key: bytes, value: bytes) -> None:
        """Set one value, replacing an earlier one."""
        ...

    def put_many(self, table: str, items: list[tuple[bytes, bytes]]) -> None:
        """Add pairs whose keys are new, fast.

        Raises:
            InternalError: one of the keys exists (history is never overwritten); the update must be given up.
        """
        ...

    def delete(self, table: str, key: bytes) -> None:
        """Remove a key; nothing happens when it is not there."""
        ...


class Store(Protocol):
    """An open store.  All its errors are of the family of ``HomeError``, but for faults of the caller."""

    def view(self) -> AbstractContextManager[View]:
        """A snapshot to read from."""
        ...

    def update(self) -> AbstractContextManager[Update]:
        """The write transaction; waits for the one that another thread or process holds.

        Raises:
            QuotaError: the journal's own limit; nothing of this update was written.
            StorageError: the disk refused; what is durable is unknown until the store is opened again.
            HomeError: the store was opened for reading only, or taken away while it is open.
        """
        ...

    def last_transaction(self) -> int:
        """A number that grows whenever any process committed a change.

        Raises:
            HomeError: the store was taken away while it is open.
        """
        ...

    def size_bytes(self) -> int:
        """How much of the quota is used, in bytes (free pages inside the file are not counted)."""
        ...

    def close(self) -> None:
        """Give everything back; a closed store is not used again."""
        ...


def pages(
    store: Store, table: str, start: bytes, stop: bytes | None, limit: int = 512, max_bytes: int = 1 << 20
) -> Iterator[list[tuple[bytes, bytes]]]:
    """[start, stop) in slices, each from a short view of its own, so that a slow reader holds no snapshot.

    A slice ends at ``limit`` pairs or with the pair that passes ``max_bytes``.
    """
    while True:
        with store.view() as view:
            page = one_page(view, table, start, stop, limit, max_bytes)
        # A view that is named by a generator that waits would keep its place in the table of readers.
        del view
        if not page:
            return
        start = page[-1][0] + b"\0"  # the least key after the last one
        yield page


def one_page(
    view: View, table: str, start: bytes, stop: bytes | None, limit: int = 512, max_bytes: int = 1 << 20
) -> list[tuple[bytes, bytes]]:
    """The first pairs of [start, stop), at most ``limit`` and ending with the pair that passes ``max_bytes``."""
    page: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in view.scan(table, start, stop):
        page.append((key, value))
        size += len(value)
        if len(page) >= limit or size >= max_bytes:
            break
    return page
