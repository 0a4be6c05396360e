"""Text into the loader of a real worker: whatever it is, the program is loaded or refused by name.

Many texts are modules of their own, loaded by engines that go on; a worker that a text ends is a verdict too.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any, Final

import pytest

from flowmetal.settings import MIB
from tests.hostile.case import MAIN, Case
from tests.hostile.conftest import Within

SEED: Final = int(os.environ.get("FLOWMETAL_SEED", "1"))
EXAMPLES: Final = 40
LIMITS: Final = {"fuel_ticks": 200_000, "cpu_seconds": 5, "address_space_bytes": 256 * MIB}

_WORDS: Final = """
    and or not in if elif else for def return lambda load pass break continue None True False
    + - * / // % ~ & | ^ << >> = == != < > <= >= += -= ( ) [ ] { } , : . ; -> ** *
    x y f fctx flow args actions struct record enum run wait print fail Ok Err unwrap range len sorted str json
    effects options retry current_flow forever typing field list dict int "a" 'b' r"\\" f"{x}" b"" 0 1 -1 1.5
    0x 0b1 1e400 99999999999999999999 \\ # $ ? ! @ ` é \ufeff
"""
TOKENS: Final = [*_WORDS.split(), '"""', "\u00a0", *6 * ["\n", "\n    ", "\n        ", "\t", "\r\n", " "]]
LINES: Final = [
    "def f(x, *a, **k):\n    return x\n",
    "for i in range(3):\n    print(i)\n",
    "x = [i for i in range(9) if i]\n",
    'load("./main.flow", "x")\n',
    'load("./lib.flow", y = "x")\n',
    "g = flow(lambda fctx: 1)\n",
    "y = struct(a = 1).b\n",
    'z = {1: 2}["a"]\n',
    "if True:\n    pass\nelse:\n    x = 1\n",
    'if __name__ == "__flow__":\n    print(1)\n',
]


def soup(chooser: random.Random) -> bytes:
    """A text: tokens, lines of the language, bytes, or what is nested."""
    kind = chooser.random()
    if kind < 0.45:
        return " ".join(chooser.choices(TOKENS, k=chooser.randint(1, 200))).encode()
    if kind < 0.7:
        lines = chooser.choices(LINES, k=chooser.randint(1, 20))
        text = bytearray("".join(lines).encode())
        for _ in range(chooser.randint(1, 6)):
            at = chooser.randrange(len(text))
            text[at : at + chooser.randint(0, 5)] = chooser.choice(TOKENS).encode()
        return bytes(text)
    if kind < 0.85:
        opening = chooser.choice(["(", "[", "{1:", "f(", "-", "not ", "lambda: ", "x.", "1 if x else ", "list["])
        depth = chooser.choice([30, 65, 66, 67, 199, 200, 201, 3_000])
        closing = chooser.choice(["", ")", "]", "}", "1", "x"])
        return f"x = {opening * depth}{closing * chooser.choice([0, 1, depth])}\n".encode()
    return chooser.randbytes(chooser.randint(0, 300))


def try_texts(within: Within, directory: Path, seed: str, count: int) -> None:
    chooser = random.Random(seed)
    for number in range(count):
        text = soup(chooser)
        case = Case(f"{seed} {number}", {MAIN: text, "lib.flow": soup(chooser)}, "ok", limits=LIMITS)

        async def life(yard: Any, case: Case = case, number: int = number) -> Any:
            return await yard.attempt(case, directory / f"{seed} {number}")

        try:
            told = within(life)
        except BaseException:
            print(f"\nseed {seed!r} {number}: {text!r}")
            raise
        # Texts of this size are no burden; what ends its worker would be a fault of the look that is taken beforehand.
        assert told.verdict != "resource-fault", (text, told)


def test_any_text_is_loaded_or_refused(within: Within, tmp_path: Path) -> None:
    try_texts(within, tmp_path, f"{SEED}", EXAMPLES)


@pytest.mark.torture
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("part", range(10))
def test_very_many_texts(within: Within, tmp_path: Path, part: int) -> None:
    try_texts(within, tmp_path, f"{SEED} torture {part}", 1_000)
