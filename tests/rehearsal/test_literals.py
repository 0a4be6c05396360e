"""Every value, written as the language writes it, is read as the same value."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from flowmetal.journal.memory_store import MemoryStore
from flowmetal.rehearsal.literals import called, literal
from flowmetal.testing.harness import make_lab, value_of
from tests.replay.literals import Value, nested, scalars

WRITTEN = st.recursive(scalars, nested, max_leaves=12)
ODD_NAMES = {"struct": ["a b", 1, "class", 2, "load", 3]}


@settings(max_examples=6, deadline=None)
@given(st.lists(WRITTEN, min_size=20, max_size=60))
def test_what_is_written_is_read_as_the_same(values: list[Value]) -> None:
    wires = [*(value.wire for value in values), ODD_NAMES]
    makers = "".join(f"def _make{at}(): return {literal(wire)}\n" for at, wire in enumerate(wires))
    listed = ", ".join(f"_make{at}" for at in range(len(wires)))
    text = f"{makers}\ndef _main(fctx):\n    return [make() for make in [{listed}]]\n\nmain = flow(_main)\n"
    with tempfile.TemporaryDirectory() as directory:
        lab = make_lab(Path(directory), MemoryStore())
        assert value_of(lab.run(text, name="main")) == wires


ODD_CALL = [
    {"a": 1, "b": "x"},
    {"a b": 1},
    {"a": 1, "for": 2},
    {"z = 1), 1)\n\ndef test_planted(t):\n    f(z": 1},
    {'"': '"', "\\": "{x}", "\r\n": "\u2028"},
]


def test_a_call_is_one_whatever_its_names_are(tmp_path: Path) -> None:
    """Names come from who called the flow: they must not become text of the test."""
    calls = [called("f", [1], list(each.items())) for each in ODD_CALL]
    text = (
        f"def f(*args, **kwargs):\n    return [list(args), kwargs]\n\nmain = flow(lambda fctx: [{', '.join(calls)}])\n"
    )
    wanted = [[[1], {"dict": [part for pair in each.items() for part in pair]}] for each in ODD_CALL]
    assert value_of(make_lab(tmp_path, MemoryStore()).run(text, name="main")) == wanted
