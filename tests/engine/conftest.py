from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmetal.testing.harness import Lab, make_lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A home to run flows in."""
    made = make_lab(tmp_path)
    yield made
    made.store.close()
