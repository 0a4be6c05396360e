"""Every value crosses from arguments over a child to a result, through the journal and a replay, as itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmetal.journal.memory_store import MemoryStore
from flowmetal.testing.harness import in_loop, make_lab, value_of
from flowmetal.testing.replaying import replay_all, replayable
from tests.replay.literals import Value, values
from tests.replay.test_laws import FEW, MANY

PROGRAM = """
def _same(fctx, value, *, keyword = None):
    return [value, keyword]

same = flow(_same)

def _acting(fctx, value):
    fctx.actions.sleep("1ms")
    return value

acting = flow(_acting)

def _check(before, after):
    if type(before) != type(after):
        fail("type", before = type(before), after = type(after))

def _main(fctx):
    out = []
    for make in MAKERS:
        value = make()
        one = unwrap(same(value, keyword = value))
        two = unwrap(wait(fctx.actions.run(same, value, keyword = value)))
        three = unwrap(acting([value]))
        four = unwrap(same(fctx.actions.run(acting, [value])))[0]
        for after in [one[0], one[1], two[0], two[1], three[0], four[0]]:
            _check(value, after)
        out.append([one, two, three, four])
    return out

main = flow(_main)
"""


def cross(items: list[Value]) -> None:
    makers = "".join(f"def make{at}(): return {value.text}\n" for at, value in enumerate(items))
    listed = ", ".join(f"make{at}" for at in range(len(items)))
    text = f'{PROGRAM}\n{makers}\nMAKERS = [{listed}]\n\nif __name__ == "__flow__":\n    main()\n'
    with tempfile.TemporaryDirectory() as directory:
        lab = make_lab(Path(directory), MemoryStore())
        found = value_of(lab.run(text))
        headers = replayable(lab.journal, "r")
        replayed = in_loop(lambda: replay_all(lab.journal, headers))
    for value, (one, two, three, four) in zip(items, found, strict=True):
        assert one == two == [value.wire, value.wire], value.text
        assert three == four == [value.wire], value.text
        # 1 == 1.0 == True to Python: types must be the same too
        assert repr(one[0]) == repr(value.wire), value.text
    for header in headers:
        assert replayed[header.run_id].asked == []
        assert replayed[header.run_id].value == lab.journal.payload(header.run_id, header.result)


@given(st.lists(values, min_size=1, max_size=12))
@settings(FEW, max_examples=30)
def test_values_cross_as_themselves(items: list[Value]) -> None:
    cross(items)


@pytest.mark.torture
@pytest.mark.timeout(3600)
@given(st.lists(values, min_size=1, max_size=12))
@MANY
def test_many_values_cross_as_themselves(items: list[Value]) -> None:
    cross(items)
