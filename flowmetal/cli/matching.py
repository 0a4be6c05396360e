"""Which runs are meant: terms such as ``flow=etl.flow status=running,waiting label.team=web``, all of which must fit.

One grammar for every command that takes many runs: ``ps``, ``pause``, ``resume`` and ``cancel``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from flowmetal.cli.reading import flow_of, is_interrupted
from flowmetal.errors import UsageError, did_you_mean
from flowmetal.journal.headers import FINISHED, STATUSES, Header
from flowmetal.journal.journal import Journal

_INTERRUPTED: Final = "interrupted"
STATUSES_ASKED_FOR: Final = (*STATUSES, _INTERRUPTED)
"""What a run's status can be, and what else a person calls it: one that is unfinished and that nobody drives."""

_LABEL: Final = "label."
_SHOWN: Final = 4
_KEYS: Final = ("flow", "status", "label")
_GRAMMAR: Final = (
    "write flow=NAME, status=STATUS or status=STATUS,STATUS, label.NAME=VALUE; all that is written must fit"
)


@dataclass(frozen=True, slots=True)
class Filter:
    """What root runs must be like.

    ``statuses`` are some of ``STATUSES_ASKED_FOR``, none for all; ``flow`` is any of the names of a flow or None.
    """

    statuses: frozenset[str] = frozenset()
    flow: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    def _fits(self, journal: Journal, header: Header) -> bool:
        fits = not self.statuses or header.status in self.statuses
        if not fits and not (_INTERRUPTED in self.statuses and is_interrupted(journal, header)):
            return False
        if self.flow is not None and self.flow not in (flow_of(header), header.name, header.flow):
            return False
        return all(header.labels.get(name) == value for name, value in self.labels.items())

    def names_near(self, journal: Journal) -> str:
        """To be said when nothing fits: which flows there are runs of, if those of ``flow`` are none; or ""."""
        if self.flow is None:
            return ""
        names: set[str] = set()
        for header in journal.roots():
            if self.flow in (flow_of(header), header.name, header.flow):
                return ""
            names.add(flow_of(header))
        own = sorted(name for name in names if name.startswith(f"{self.flow}:"))[:_SHOWN]
        if own:
            return f"; of its flows there are runs: {', '.join(f'flow={name}' for name in own)}"
        return did_you_mean(self.flow, names)

    def roots(self, journal: Journal) -> Iterator[Header]:
        """The root runs of a home that fit, by the narrowest index there is; in no order of time."""
        label = next(iter(self.labels.items()), None)
        statuses = self.statuses - {_INTERRUPTED}
        if _INTERRUPTED in self.statuses:
            statuses |= set(STATUSES) - FINISHED
        for status in sorted(statuses) if statuses and label is None else [None]:
            yield from (each for each in journal.roots(status=status, label=label) if self._fits(journal, each))


def parse_terms(terms: Iterable[str]) -> Filter:
    """The filter that terms of a command line say.

    Raises:
        UsageError: a term that is none, or two that nothing can fit.
    """
    statuses: frozenset[str] = frozenset()
    flow: str | None = None
    labels: dict[str, str] = {}
    for term in terms:
        key, equals, value = term.partition("=")
        if not equals:
            raise UsageError(f"`{term}` is not a term of a filter", remedy=_GRAMMAR)
        if key.startswith(_LABEL) and len(key) > len(_LABEL):
            key, name = "label", key[len(_LABEL) :]
            _once(term, labels.get(name, value) == value)
            labels[name] = value
        elif key == "label":
            raise UsageError(
                f"`{term}` names no label", remedy=f"write {_LABEL}{value if '=' in value else 'NAME=' + value}"
            )
        elif key == "status":
            _once(term, not statuses)
            statuses = frozenset(_status(each) for each in value.split(","))
        elif key == "flow":
            _once(term, flow in (None, value))
            flow = value
        else:
            raise UsageError(f"there is no filter `{key}`{did_you_mean(key.partition('.')[0], _KEYS)}", remedy=_GRAMMAR)
    return Filter(statuses, flow, labels)


def _once(term: str, is_first: bool) -> None:
    if not is_first:
        raise UsageError(
            f"`{term}` is there a second time", remedy="all terms must fit; status=running,waiting is either"
        )


def _status(text: str) -> str:
    if text not in STATUSES_ASKED_FOR:
        raise UsageError(
            f"there is no status `{text}`{did_you_mean(text, STATUSES_ASKED_FOR)}",
            remedy=f"it is one of {', '.join(STATUSES_ASKED_FOR)}",
        )
    return text
