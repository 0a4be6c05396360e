"""Limits as people write them: ``--limit fuel_ticks=1000000``, ``[limits]`` in a project file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.settings import Limits, limits_of

_LATER: Final = "journal_bytes_per_run"


def parse_limits(texts: Iterable[str], base: Limits | None = None) -> Limits:
    """The limits of ``--limit`` texts such as ``http_body_bytes=64MiB``; all others as in ``base``, else the usual.

    Raises:
        UsageError: a text that is none, an unknown name, a name given twice, or a value that does not fit.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise UsageError(
                f"`--limit {text}` is no limit",
                remedy="write --limit NAME=VALUE, such as cpu_seconds=30s; an argument of the flow that is called "
                "`limit` comes after `--`",
            )
        if given.get(name, value) != value:
            raise UsageError(f"the limit `{name}` is given twice")
        given[name] = value
    return limits_of(given, base)


def parse_journal_limit(texts: Iterable[str]) -> int | None:
    """The bytes of ``--limit journal_bytes_per_run=…``, the one limit that a run can be given later; None without it.

    Raises:
        UsageError: another limit, or not as it is written.
    """
    given = list(texts)
    for text in given:
        if text.partition("=")[0] != _LATER:
            raise UsageError(
                f"`--limit {text}`: a run keeps the limits that it was started with",
                remedy=f"only `{_LATER}` can be raised later; for others start a run anew",
            )
    return parse_limits(given).journal_bytes_per_run if given else None
