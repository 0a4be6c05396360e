"""The language, tried with files of the language: tests/testdata/*.flow."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.language.chunks import Chunk, judge, read_chunks, run_chunk

TESTDATA = Path(__file__).parents[1] / "testdata"
CHUNKS = [chunk for path in sorted(TESTDATA.glob("*.flow")) for chunk in read_chunks(path)]


@pytest.mark.parametrize("chunk", CHUNKS, ids=lambda chunk: chunk.id)
def test_chunk(chunk: Chunk, tmp_path: Path) -> None:
    problems = judge(chunk, asyncio.run(run_chunk(chunk.files, tmp_path)))
    assert not problems, "\n".join([f"{chunk.path}:{chunk.line}", *problems])
