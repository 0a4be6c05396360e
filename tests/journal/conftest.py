from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.journal.lmdb_store import LmdbStore
from flowmetal.journal.memory_store import MemoryStore
from flowmetal.journal.store import Store
from tests.journal.journal_samples import HeldClock

settings.register_profile("journal", deadline=None)
settings.load_profile("journal")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, home: Path) -> Iterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else LmdbStore(home / "journal", durability="os")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock()


@pytest.fixture
def journal(store: Store, home: Path, clock: HeldClock) -> Journal:
    return Journal(store, home, clock)


@pytest.fixture
def engine(home: Path) -> Iterator[bytes]:
    """The id of a living engine."""
    owned = ownership.acquire(home)
    yield owned.engine_id
    owned.release()
