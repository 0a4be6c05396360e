"""What all tests share: workers come up by a fork, but where how they come up is what is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from flowmetal.engine import process
from flowmetal.engine.launching import Launched
from flowmetal.settings import Limits
from flowmetal.testing.forked_workers import forked_workers

LAUNCHED = ("tests/worker/", "tests/hostile/test_frames.py", "tests/engine/test_crashes.py")


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
