"""The store on disk and the one in memory are one store to anyone who cannot see the disk."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flowmetal.errors import InternalError
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.store import TABLES, Update

tables = st.sampled_from(TABLES[:3])
keys = st.binary(min_size=1, max_size=3) | st.sampled_from([b"a" * 511, b"a\0", b"\xff\xff"])
bounds = st.binary(max_size=3)
values = st.binary(max_size=5) | st.integers(1, 3).map(lambda size: bytes(size * 5000))
changes = st.one_of(
    st.tuples(st.just("put"), tables, keys, values),
    st.tuples(st.just("delete"), tables, keys),
    st.tuples(st.just("put_many"), tables, st.dictionaries(keys, values, max_size=4).map(lambda d: list(d.items()))),
)


class Given(Exception):
    """The caller gives an update up."""


class StoresAgree(RuleBasedStateMachine):
    @initialize()
    def open_both(self) -> None:
        self.path = Path(tempfile.mkdtemp())
        self.disk = LmdbStore(self.path, durability="os")
        self.memory = MemoryStore()

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.path)

    @rule(batch=st.lists(changes, max_size=8), give_up=st.booleans())
    def update(self, batch: list[tuple[str, ...]], give_up: bool) -> None:
        outcomes = [self.apply(store, batch, give_up) for store in (self.disk, self.memory)]
        assert outcomes[0] == outcomes[1]

    def apply(self, store: LmdbStore | MemoryStore, batch: list[tuple[str, ...]], give_up: bool) -> object:
        before = store.last_transaction()
        try:
            with store.update() as update:
                for name, *arguments in batch:
                    getattr(update, name)(*arguments)
                seen = contents(update)
                if give_up:
                    raise Given
        except (Given, InternalError) as error:
            assert store.last_transaction() == before
            return type(error)
        return seen

    @rule(table=tables, start=bounds, stop=st.none() | bounds, reverse=st.booleans())
    def scan(self, table: str, start: bytes, stop: bytes | None, reverse: bool) -> None:
        with self.disk.view() as disk, self.memory.view() as memory:
            assert list(disk.scan(table, start, stop, reverse)) == list(memory.scan(table, start, stop, reverse))

    @rule(table=tables, key=keys)
    def get(self, table: str, key: bytes) -> None:
        with self.disk.view() as disk, self.memory.view() as memory:
            assert disk.get(table, key) == memory.get(table, key)

    @rule()
    def reopen(self) -> None:
        self.disk.close()
        self.disk = LmdbStore(self.path, durability="os")

    @invariant()
    def hold_the_same(self) -> None:
        with self.disk.view() as disk, self.memory.view() as memory:
            assert contents(disk) == contents(memory)


def contents(view: object) -> list[list[tuple[bytes, bytes]]]:
    reader: Update = view  # type: ignore[assignment]  # either store's
    return [list(reader.scan(table)) for table in TABLES]


StoresAgree.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestStoresAgree = StoresAgree.TestCase
