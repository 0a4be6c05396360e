"""A store in memory: for tests, dry runs, and as the oracle of the store on disk.

Tables are copied when an update first touches them and swapped in when it ends, so a view simply keeps the
tables it began with.  Plain and slow for large tables, which is what an oracle may be.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator
from contextlib import contextmanager

from flowmetal.errors import InternalError
from flowmetal.journal.store import MAX_KEY_BYTES, TABLES


class _Table:
    """Values by key, and the keys in order."""

    __slots__ = ("keys", "values")

    def __init__(self, keys: list[bytes], values: dict[bytes, bytes]) -> None:
        self.keys = keys
        self.values = values

    def copy(self) -> _Table:
        return _Table(self.keys.copy(), self.values.copy())


class _MemoryUpdate:
    """View and update in one: an update is a view that copies what it touches."""

    def __init__(self, tables: dict[str, _Table]) -> None:
        self.tables = dict(tables)
        self.touched: set[str] = set()
        self.ended = False

    def get(self, table: str, key: bytes) -> bytes | None:
        self._check_open()
        return self.tables[table].values.get(key)

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        source = self.tables[table]
        low = bisect_left(source.keys, start)
        high = len(source.keys) if stop is None else bisect_left(source.keys, stop)
        keys = source.keys[low:high]
        values = source.values
        for key in reversed(keys) if reverse else keys:
            yield key, values[key]

    def put(self, table: str, key: bytes, value: bytes) -> None:
        if not 1 <= len(key) <= MAX_KEY_BYTES:
            raise InternalError(f"a key of {len(key)} bytes")
        target = self._own(table)
        if key not in target.values:
            insort(target.keys, key)
        target.values[key] = value

    def put_many(self, table: str, items: list[tuple[bytes, bytes]]) -> None:
        for key, value in items:
            if key in self.tables[table].values:
                raise InternalError("a key that must be new exists", place=f"{table} {key!r}")
            self.put(table, key, value)

    def delete(self, table: str, key: bytes) -> None:
        if key in self.tables[table].values:
            target = self._own(table)
            del target.values[key]
            del target.keys[bisect_left(target.keys, key)]

    def _own(self, table: str) -> _Table:
        self._check_open()
        if table not in self.touched:
            self.tables[table] = self.tables[table].copy()
            self.touched.add(table)
        return self.tables[table]

    def _check_open(self) -> None:
        if self.ended:
            raise InternalError("a transaction was used after its end")


class MemoryStore:
    """Tables that live as long as this object; see ``store.py`` for the contract."""

    def __init__(self) -> None:
        self._tables = {name: _Table([], {}) for name in TABLES}
        self._transactions = 0
        self._writing = threading.Lock()

    def copy(self) -> MemoryStore:
        """A store of its own that begins with what is committed here."""
        other = MemoryStore()
        other._tables = self._tables
        other._transactions = self._transactions
        return other

    @contextmanager
    def view(self) -> Iterator[_MemoryUpdate]:
        """A snapshot to read from."""
        snapshot = _MemoryUpdate(self._tables)
        try:
            yield snapshot
        finally:
            snapshot.ended = True

    @contextmanager
    def update(self) -> Iterator[_MemoryUpdate]:
        """The write transaction."""
        with self._writing:
            update = _MemoryUpdate(self._tables)
            try:
                yield update
                if update.touched:
                    self._tables = update.tables
                    self._transactions += 1
            finally:
                update.ended = True

    def last_transaction(self) -> int:
        """A number that grows with every committed change."""
        return self._transactions

    def size_bytes(self) -> int:
        """Bytes of all keys and values."""
        tables = self._tables.values()
        return sum(len(key) + len(value) for table in tables for key, value in table.values.items())

    def close(self) -> None:
        """Nothing to give back."""
