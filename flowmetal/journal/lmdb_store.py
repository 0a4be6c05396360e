"""The store on disk: one LMDB environment.

Why LMDB: readers never wait, one ordered file, one fsync a commit, and a process killed at any instant leaves
the last committed state.  What it needs from us:

- The map is 1 TiB, sparse and never grows, because a grown map breaks other processes.  "Full" is a quota of
  ours (``quota.py``), counted in pages that hold data, so that ``gc`` makes room although the file never shrinks.
- After an error while committing nothing is assumed: the engine that gets ``StorageError`` ends.
- A file shorter than its own page count would kill the process with SIGBUS, so it is refused at open.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeAlias

import lmdb

from flowmetal.errors import FlowmetalError, HomeError, InternalError, JournalError
from flowmetal.journal.home import Watched, prepare_directory, refuse_emptied, sync_directory
from flowmetal.journal.quota import Quota
from flowmetal.journal.storage_errors import translate
from flowmetal.journal.store import TABLES

MAP_BYTES: Final = 1 << 40
MAX_READERS: Final = 1024
DEFAULT_QUOTA_BYTES: Final = 10 << 30

Handle: TypeAlias = "lmdb._Database"
Transaction: TypeAlias = "lmdb.Transaction[bytes]"


class _LmdbView:
    """Reads inside one transaction of LMDB."""

    def __init__(self, transaction: Transaction, handles: dict[str, Handle]) -> None:
        self._transaction = transaction
        self._handles = handles

    def get(self, table: str, key: bytes) -> bytes | None:
        return self._transaction.get(key, db=self._handles[table])

    def scan(
        self, table: str, start: bytes = b"", stop: bytes | None = None, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        with self._transaction.cursor(db=self._handles[table]) as cursor:
            if reverse:
                yield from _backward(cursor, start, stop)
            else:
                yield from _forward(cursor, start, stop)


def _forward(cursor: lmdb.Cursor[bytes], start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    if not (cursor.set_range(start) if start else cursor.first()):
        return
    for key, value in cursor.iternext():
        if stop is not None and key >= stop:
            return
        yield key, value


def _backward(cursor: lmdb.Cursor[bytes], start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
    if stop is None:
        found = cursor.last()
    elif not stop:
        found = False
    else:
        found = cursor.prev() if cursor.set_range(stop) else cursor.last()
    if not found:
        return
    for key, value in cursor.iterprev():
        if key < start:
            return
        yield key, value


class _LmdbUpdate:
    """Writes inside one transaction of LMDB, counting the bytes it was given."""

    def __init__(self, transaction: Transaction, handles: dict[str, Handle]) -> None:
        view = _LmdbView(transaction, handles)
        self.get = view.get
        self.scan = view.scan
        self._transaction = transaction
        self._handles = handles
        self.put_bytes = 0

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._transaction.put(key, value, db=self._handles[table])
        self.put_bytes += len(key) + len(value)

    def put_many(self, table: str, items: list[tuple[bytes, bytes]]) -> None:
        with self._transaction.cursor(db=self._handles[table]) as cursor:
            _, added = cursor.putmulti(items, overwrite=False)
        if added != len(items):
            raise InternalError("a key that must be new exists", place=table)
        self.put_bytes += sum(len(key) + len(value) for key, value in items)

    def delete(self, table: str, key: bytes) -> None:
        self._transaction.delete(key, db=self._handles[table])


class LmdbStore:
    """An LMDB environment in the directory ``path``; see ``store.py`` for the contract.

    Args:
        path: the directory of ``data.mdb`` and ``lock.mdb``, made (mode 0700) when missing.
        durability: ``full`` is one fsync a commit; ``os`` survives the process, not a power cut.
        quota_bytes: the journal's own limit.
        read_only: nothing is made, ``update`` is refused.

    Raises:
        HomeError: the directory cannot be used.
        JournalError: the file is not an intact environment.
        StorageError: the disk refused.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: Literal["full", "os"] = "full",
        quota_bytes: int = DEFAULT_QUOTA_BYTES,
        read_only: bool = False,
    ) -> None:
        if read_only and not (path / "data.mdb").is_file():
            raise HomeError("there is no journal here yet", place=str(path), remedy="start a run first")
        if not read_only:
            prepare_directory(path)
        self._is_new = not (path / "data.mdb").exists()
        self._path = path
        self._quota = Quota(quota_bytes, path)
        self._read_only = read_only
        refuse_emptied(path.parent, path / "data.mdb")
        try:
            self._environment = _open(path, durability, read_only)
        except (lmdb.Error, OSError) as error:
            raise translate(error, path) from None
        try:
            self._handles = self._prepare()
        except (lmdb.Error, OSError, FlowmetalError) as error:
            self._environment.close()
            raise translate(error, path) from None
        # The lock file too: with another in its place, others would write at the same time.
        self._files = Watched(path, "data.mdb", "lock.mdb")

    def _prepare(self) -> dict[str, Handle]:
        self._environment.reader_check()
        if self._is_new:
            sync_directory(self._path)  # LMDB makes its file's content durable, not its name
        _check_length(self._environment, self._path)
        return _open_tables(self._environment, self._read_only)

    @contextmanager
    def view(self) -> Iterator[_LmdbView]:
        """A snapshot to read from."""
        try:
            with self._environment.begin() as transaction:
                yield _LmdbView(transaction, self._handles)
        except lmdb.Error as error:
            raise translate(error, self._path) from None

    @contextmanager
    def update(self) -> Iterator[_LmdbUpdate]:
        """The write transaction."""
        if self._read_only:
            raise HomeError("the journal is open for reading only", place=str(self._path))
        try:
            with self._environment.begin(write=True) as transaction:
                # Inside: while it lasts nobody else writes, if theirs are the files that we see.
                self._files.check()
                update = _LmdbUpdate(transaction, self._handles)
                yield update
                if update.put_bytes:
                    self._quota.check(update.put_bytes, lambda: _used_bytes(transaction, self._handles))
        except lmdb.Error as error:
            raise translate(error, self._path) from None

    def last_transaction(self) -> int:
        """LMDB's own transaction number, shared by all processes."""
        self._files.check()
        return int(self._environment.info()["last_txnid"])

    def size_bytes(self) -> int:
        """Bytes of the pages that hold data."""
        try:
            with self._environment.begin() as transaction:
                return _used_bytes(transaction, self._handles)
        except lmdb.Error as error:
            raise translate(error, self._path) from None

    def clear_dead_readers(self) -> int:
        """Free the reader slots of processes that died; how many there were.  The engine calls it each minute."""
        return self._environment.reader_check()

    def close(self) -> None:
        """Close the environment."""
        self._environment.close()


def _open(path: Path, durability: str, read_only: bool) -> lmdb.Environment:
    return lmdb.open(
        str(path),
        map_size=MAP_BYTES,
        max_dbs=len(TABLES),
        max_readers=MAX_READERS,
        mode=0o600,
        readonly=read_only,
        create=not read_only,
        sync=durability == "full",
        metasync=durability == "full",
    )


def _open_tables(environment: lmdb.Environment, read_only: bool) -> dict[str, Handle]:
    """Handles of all tables, made in a new home."""
    if read_only:
        # Not in one transaction: LMDB's binding keeps read transactions for reuse and so never commits handles.
        return {table: environment.open_db(table.encode(), create=False) for table in TABLES}
    with environment.begin(write=True) as transaction:
        return {table: environment.open_db(table.encode(), transaction) for table in TABLES}


def _used_bytes(transaction: Transaction, handles: dict[str, Handle]) -> int:
    total = 0
    for handle in handles.values():
        stat = transaction.stat(handle)
        total += (stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]) * stat["psize"]
    return total


def _check_length(environment: lmdb.Environment, path: Path) -> None:
    expected = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    actual = (path / "data.mdb").stat().st_size
    # A new environment has its two first pages in memory only until the first commit.
    if actual < expected and environment.info()["last_txnid"] > 0:
        raise JournalError(
            f"the journal is cut off: {actual:,} of {expected:,} bytes",
            place=str(path / "data.mdb"),
            remedy="restore the home from a copy, or move it away to start anew",
        )
