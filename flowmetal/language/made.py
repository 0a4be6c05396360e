"""What ``flow()`` was told of a flow, while its module loads."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.language.arguments import Argument
from flowmetal.language.returns import Returns
from flowmetal.values import Wire

_MAX_NAME: Final = 200
_MAX_TAGS: Final = 20
_TAG: Final = re.compile(r"[\w./:-]{1,50}")


@dataclass(slots=True)
class Made:
    """A flow as ``flow()`` told it; the name may still come from a global."""

    label: str
    implementation: str
    name: str
    doc: str
    arguments: tuple[Argument, ...]
    declared: bool
    line: int
    site: str
    policy: Wire
    returns: Returns | None
    description: str
    tags: tuple[str, ...]


def check_words(name: Wire, doc: Wire, about: Wire) -> tuple[str, tuple[str, ...]]:
    """The description and the tags of a flow: ``about`` is a list of them, or None from an older prelude.

    Raises:
        UsageError: one of all these words is none.
    """
    if name is not None and not (isinstance(name, str) and 0 < len(name) <= _MAX_NAME):
        raise UsageError(f"a flow's `name` is a text of 1 to {_MAX_NAME} characters")
    if not isinstance(doc, str):
        raise UsageError("a flow's `doc` is a text")
    description, tags = about if about is not None else ("", [])
    if not isinstance(description, str) or len(description) > _MAX_NAME or not (description or " ").isprintable():
        raise UsageError(f"a flow's `description` is one line of at most {_MAX_NAME} characters")
    if not isinstance(tags, list) or len(tags) > _MAX_TAGS or not all(map(_is_tag, tags)):
        raise UsageError(
            f"a flow's `tags` are at most {_MAX_TAGS} words of letters, digits, `-`, `_`, `.`, `/`, `:`",
            remedy='write `tags = ["nightly", "team/web"]`',
        )
    return description, tuple(tags)


def _is_tag(value: Wire) -> bool:
    return isinstance(value, str) and _TAG.fullmatch(value) is not None
