"""What a library makes with the functions of the carried packages acts with the library's authority, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowmetal.journal.memory_store import MemoryStore
from flowmetal.testing.harness import MAIN, make_lab
from flowmetal.values import unpack

LIBRARY = """
load("pkg.flowmetal.io/v1/jobs", "job", "workflow")
load("pkg.flowmetal.io/v1/recovery", "circuit_breaker", "fallback", "finally_", "recover", "saga", "step")

note = lambda *args: effects.append("log.txt", "by the library\\n")
broken = lambda *args: Err("broken")
flow_of_note = flow(lambda fctx, n: unwrap(note()))
cleanup = flow(lambda fctx: unwrap(note()))

by_effect = workflow({"a": job(effects.append, args = ["log.txt", "by the library\\n"])})
by_leg = workflow({"a": job(effects.append, args = ["log.txt"], matrix = {"text": ["by the library\\n"]})})
by_function = workflow({"a": job(lambda fctx, needs: unwrap(note()))})
by_args = workflow({"a": job(effects.append, args = lambda needs: ["log.txt", "by the library\\n"])})
by_when = workflow({"a": job(lambda fctx, needs: 1, when = lambda needs: unwrap(note()) == None)})

by_step = saga([step(note)])
by_values = saga([step(lambda: Ok("log.txt")), step(lambda values: note(), takes_values = True)])
by_compensation = saga([step(lambda: Ok(1), flow_of_note), step(broken)])
by_fallback = fallback(broken, note)
by_handler = recover(broken, note)
by_cleanup = finally_(broken, cleanup)
by_breaker = lambda: circuit_breaker(note)()
by_map = lambda: parallel_map(flow_of_note, [1])[0]
"""
WAYS = [line.partition(" = ")[0] for line in LIBRARY.splitlines() if line.startswith("by_")]


@pytest.mark.parametrize("way", WAYS)
def test_a_library_acts_as_itself(tmp_path: Path, way: str) -> None:
    main = f'load("./lib.flow", "{way}")\nmain = flow(lambda fctx: {way}())\nif __name__ == "__flow__":\n    main()\n'
    modules = {MAIN: main, "//lib.flow": LIBRARY}
    lab = make_lab(tmp_path, MemoryStore())
    lab.run(modules, "trusted")
    log = lab.base / "log.txt"
    assert log.read_text(encoding="utf-8") == "by the library\n"
    log.unlink()
    lab.allow_for = (("//lib.flow", "none"),)
    told = unpack(lab.run(modules, "barred").value or b"")
    assert not log.exists()
    assert "denied" in repr(told)


def test_what_the_caller_asks_for_is_the_callers(tmp_path: Path) -> None:
    """A function of a carried package that a library made, with an effect, does what its caller says."""
    main = (
        'load("./lib.flow", "keep")\nmain = flow(lambda fctx: keep("log.txt", "by main"))\n'
        'if __name__ == "__flow__":\n    main()\n'
    )
    library = 'load("pkg.flowmetal.io/v1/recovery", "fallback")\nkeep = fallback(effects.append)\n'
    lab = make_lab(tmp_path, MemoryStore(), allow_for=(("//lib.flow", "none"),))
    lab.run({MAIN: main, "//lib.flow": library})
    assert (lab.base / "log.txt").read_text(encoding="utf-8") == "by main"
