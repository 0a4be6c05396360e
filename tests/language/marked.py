"""Flow texts in whose lines `#! …` marks what `flowmetal check` is to say of them."""

from __future__ import annotations

import asyncio
import re

from flowmetal.engine.checking import check_file
from flowmetal.settings import Limits
from tests.language.chunks import MAIN, Texts


def found_in(text: str, other: str = "") -> dict[int, str]:
    """What is found in a text, which may load ``other.flow``, by line."""
    found = asyncio.run(check_file(f"//{MAIN}", Texts({MAIN: text, "other.flow": other}), Limits()))
    return {int(each.place.split(":")[1]): each.message for each in found}


def assert_found_as_marked(text: str, other: str = "") -> None:
    """Every marked line has its finding, and no other line has one."""
    marked = [(at, re.search("#! (.*)$", line)) for at, line in enumerate(text.split("\n"), 1)]
    wanted = {at: found[1] for at, found in marked if found}
    found = found_in(text, other)
    assert set(found) == set(wanted), {at: found.get(at, wanted.get(at)) for at in set(found) ^ set(wanted)}
    for at, words in wanted.items():
        assert words in found[at], (words, found[at])
