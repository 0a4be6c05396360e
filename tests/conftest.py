"""What all tests share: workers come up by a fork, but where how they come up is what is tested."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from flowmetal.engine import process
from flowmetal.engine.launching import Launched
from flowmetal.settings import Limits
from flowmetal.testing.forked_workers import forked_workers

LAUNCHED = (
    *("tests/worker/test_confinement.py", "tests/worker/test_loading.py", "tests/worker/test_process.py"),
    *("tests/hostile/test_frames.py", "tests/engine/test_crashes.py"),
)


LONGEST = (
    *("hostile/test_programs.py", "docs/test_snippets.py", "language/test_chunks.py", "worker/test_frames.py"),
    *("kill/test_kill_everywhere.py", "cli/test_lives.py", "actions/test_call.py", "examples/test_orchestration.py"),
    *("actions/test_crashes.py", "cli/test_looking.py", "actions/test_exec_ends.py", "engine/test_crashes.py"),
    *("prelude/test_parallel.py", "cli/test_people.py", "language/test_check.py", "replay/test_laws.py"),
)
"""What takes more than half a minute begins first: files are given out one by one, and nobody waits for the last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    at = {f"tests/{path}": rank for rank, path in enumerate(LONGEST)}
    items.sort(key=lambda item: at.get(item.nodeid.partition("::")[0], len(LONGEST)))


def pytest_collection_finish() -> None:
    """What is collected stays to the end: it is not looked through again at every collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def fork() -> Iterator[Callable[[Limits], Launched]]:
    with forked_workers() as launch:
        yield launch


@pytest.fixture(autouse=True, scope="module")
def workers_are_forked(request: pytest.FixtureRequest) -> Iterator[None]:
    where = request.node.nodeid
    if where.startswith(LAUNCHED):
        yield
        return
    launch = request.getfixturevalue("fork")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "launch", launch)
        yield
