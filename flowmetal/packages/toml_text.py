"""TOML as text: read with Python's own parser, and the one piece of it that is written."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from flowmetal.errors import UsageError
from flowmetal.permissions.texts import plain

_NO_KEY: Final = re.compile(r"""(?:"(?:[^"\\\n]|\\.)*")|(?:'[^'\n]*')|(?:#.*)""")
_MOST_DOTS: Final = 64


def read_toml(text: str) -> dict[str, Any]:
    """What a text of TOML says.

    Raises:
        UsageError: it is none; has line and column.
    """
    # A key of many parts costs the parser their number squared, and one line may have a hundred thousand.
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > _MOST_DOTS and _NO_KEY.sub("", line).count(".") > _MOST_DOTS:
            raise UsageError(f"it is not TOML that can be read: line {number:,} has a key of too many parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"it is not TOML: {error}", remedy=_remedy(text, str(error))) from None
    except (RecursionError, ValueError) as error:
        raise UsageError(f"it is not TOML that can be read: {type(error).__name__}") from None


def _remedy(text: str, error: str) -> str:
    """What helps where a name with dots and slashes, such as a package's, stands without quotes."""
    found = re.search(r"at line (\d+), column", error)
    line = text.split("\n")[int(found[1]) - 1] if found else ""
    bare = re.match(r"\s*([a-z0-9.:-]+/[^\s\"=]+)\s*=", line)
    return f'names of packages are written in quotes: "{plain(bare[1])}" = …' if bare else ""


def toml_string(text: str) -> str:
    """A text as a string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each >= " " and each != "\x7f" else f"\\u{ord(each):04X}" for each in escaped) + '"'
