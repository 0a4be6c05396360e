"""The language, tried with files of the language: tests/testdata/*.flow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from flowmetal.engine import process
from flowmetal.engine.launching import Launched
from flowmetal.settings import Limits
from tests.language.chunks import Came, Chunk, judge, read_chunks, run_chunk

TESTDATA = Path(__file__).parents[1] / "testdata"
CHUNKS = [chunk for path in sorted(TESTDATA.glob("*.flow")) for chunk in read_chunks(path)]
AT_ONCE = 4
LONGEST_SECONDS = 60


@pytest.fixture(scope="session")
def came(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fork: Callable[[Limits], Launched]
) -> dict[str, Came | str]:
    """What came of each chunk that was asked for; they run side by side, since most time goes into starting workers."""
    asked = [
        item.callspec.params["chunk"] for item in request.session.items if "came" in getattr(item, "fixturenames", ())
    ]

    async def run_all() -> dict[str, Came | str]:
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(chunk: Chunk) -> Came | str:
            async with gate:
                try:
                    home = tmp_path_factory.mktemp("home")
                    return await asyncio.wait_for(run_chunk(chunk.files, home), LONGEST_SECONDS)
                except TimeoutError:
                    return f"it did not end within {LONGEST_SECONDS} seconds"

        return dict(zip((chunk.id for chunk in asked), await asyncio.gather(*map(one, asked)), strict=True))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "launch", fork)
        return asyncio.run(run_all())


@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: chunk.id)
def test_chunk(chunk: Chunk, came: dict[str, Came | str]) -> None:
    what = came[chunk.id]
    problems = [what] if isinstance(what, str) else judge(chunk, what)
    assert not problems, "\n".join([f"{chunk.path}:{chunk.line}", *problems])


def test_chunks_are_told_apart() -> None:
    assert len({chunk.id for chunk in CHUNKS}) == len(CHUNKS)
