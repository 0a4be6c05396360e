from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowmetal.testing.harness import Lab, make_lab
from tests.hostile.yard import Yard

Within = Callable[[Callable[[Yard], Coroutine[Any, Any, Any]]], Any]


@contextmanager
def opened(directory: Path) -> Iterator[Within]:
    """Runs coroutines, one after the other, in the loop of one engine."""
    lab = make_lab(directory)
    with asyncio.Runner() as runner:

        async def up() -> Any:
            entered = lab.engine()
            yard = Yard(lab, entered.__enter__())
            await yard.open()
            return entered, yard

        async def down() -> None:
            # The whole of it, when all is there: a problem names the run, and so the case.
            problems = list(lab.journal.verify())
            assert not problems, problems
            await yard.engine.stop()
            entered.__exit__(None, None, None)

        entered, yard = runner.run(up())
        try:
            yield lambda life: runner.run(life(yard))
        finally:
            runner.run(down())
            lab.store.close()


@pytest.fixture(scope="module")
def within(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Within]:
    """One engine for all cases of a file: what one of them does to it is felt by those that follow."""
    with opened(tmp_path_factory.mktemp("yard")) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A home to run flows in."""
    made = make_lab(tmp_path)
    yield made
    made.store.close()
