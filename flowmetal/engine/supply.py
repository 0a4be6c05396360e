"""Which texts of modules a worker is given while it loads a program."""

from __future__ import annotations

from typing import Any, Final, Protocol

from flowmetal.engine.table import ProgramState
from flowmetal.errors import LanguageError

_MAX_MODULES: Final = 2_000
# In characters, of which one takes up to four bytes; one module more may be added to it.
_AT_ONCE: Final = 512 * 1024


class SourceProvider(Protocol):
    """Where the text of modules comes from while a program is first loaded."""

    def text_of(self, label: str) -> str:
        """The text of a module.

        Raises:
            LanguageError: there is no such module, or it cannot be read.
        """
        ...


def supply(
    program: ProgramState, provider: SourceProvider | None, labels: list[Any]
) -> tuple[dict[str, str], list[str]]:
    """Texts for the labels that a worker needs: as many as go into a frame with ease, for it asks again.

    What the program does not have yet comes from ``provider``, and stays.  With them, what is wrong with the next one:
    message, place and remedy, or nothing.
    """
    known = [label for label in labels if type(label) is str and label in program.sources]
    if known:
        return first_of(program.sources, known), []
    found: dict[str, str] = {}
    for label in labels:
        if sum(map(len, found.values())) > _AT_ONCE:
            break
        try:
            if provider is None or type(label) is not str:
                raise LanguageError(f"the module {label} is not among the pinned ones")
            if len(program.sources) >= _MAX_MODULES:
                raise LanguageError(f"the program has more than {_MAX_MODULES:,} modules")
            found[label] = program.sources[label] = provider.text_of(label)
        except LanguageError as error:
            return found, [error.message, error.place, error.remedy]
    return found, []


def first_of(sources: dict[str, str], labels: list[str]) -> dict[str, str]:
    """As many of the modules as go into a frame with ease; at least one."""
    found: dict[str, str] = {}
    size = 0
    for label in labels:
        found[label] = sources[label]
        size += len(sources[label])
        if size > _AT_ONCE:
            break
    return found
