"""Limits that a run has, and durations as people write them.

Every limit has a default that an ordinary flow never meets and that a hostile one cannot get around.  The
limits of a run are part of its first event, so that a replay judges by the same numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from typing import Any, Final

from flowmetal.errors import UsageError, did_you_mean

KIB: Final = 1024
MIB: Final = 1024 * KIB
GIB: Final = 1024 * MIB

MAX_DURATION_SECONDS: Final = 100 * 366 * 86_400
"""The longest sleep: a hundred years."""

LEAST_CALL_DEPTH: Final = 20
"""Frames that the names of the language need for themselves: with fewer no program loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every limit of a run and its home, the unit last in its name.

    Fuel is deterministic and therefore a result of the flow; the limits in seconds and bytes of the process
    are faults of the worker.
    """

    fuel_ticks: int = 50_000_000
    """Evaluation between two actions of a flow."""
    evaluation_seconds: float = 120.0
    """Wall time of one stretch of evaluation."""
    cpu_seconds: float = 60.0
    """Processor time of one stretch of evaluation: far above what the fuel allows, so that the fuel ends first."""
    address_space_bytes: int = 512 * MIB
    """Address space of a worker."""
    call_depth: int = 200
    """Frames of the language."""
    inline_depth: int = 4
    """Children evaluated on the thread of their parent."""
    thread_stack_bytes: int = 1 * MIB
    """Stack of a thread that holds a run."""
    log_bytes_per_run: int = 1 * MIB
    """What one run may print and log."""
    log_line_bytes: int = 8 * KIB
    """One printed line."""
    open_actions: int = 10_000
    """Actions of one run without a result; one more waits until there are fewer."""
    journal_bytes_per_run: int = 256 * MIB
    """What one run may write to its journal; a run that needs more is paused."""
    http_body_bytes: int = 10 * MIB
    """The body of a response that becomes a value, after decompression."""
    http_download_bytes: int = 10 * GIB
    """The body of a response that goes to a file."""
    http_header_bytes: int = 64 * KIB
    """The headers of a response."""
    http_ratio: int = 100
    """How many bytes a compressed one may become."""
    exec_output_bytes: int = 10 * MIB
    """What is kept of a program's output, and never more than a value holds; the rest is dropped."""
    exec_file_bytes: int = 10 * GIB
    """What a program may print into a file."""
    cleanup_seconds: float = 300.0
    """What all cleanups of a run that is cancelled may take together; then it is ended."""
    hot_runs: int = 128
    """Runs that one worker holds in memory."""
    message_bytes: int = 256 * KIB
    """The value of one message to a run, and of a name of the state that a home's runs share."""
    unread_messages: int = 20_000
    """Messages that one run has been sent and has not read."""
    unread_bytes: int = 64 * MIB
    """What these take together."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "int":
                good = type(value) is int and value > 0
            else:
                good = type(value) in (int, float) and math.isfinite(value) and value > 0
            if not good:
                number = "a whole number" if field.type == "int" else "a number"
                raise UsageError(f"the limit `{field.name}` is {number} above zero, not {value!r}")
        if self.call_depth < LEAST_CALL_DEPTH:
            raise UsageError(
                f"the limit `call_depth` is at least {LEAST_CALL_DEPTH}, not {self.call_depth}",
                remedy="a call of an action takes several frames itself",
            )

    def to_data(self) -> dict[str, int | float]:
        """All limits by name, for the journal."""
        return asdict(self)

    def changed(self) -> dict[str, int | float]:
        """Those that are not the usual, by name."""
        usual = Limits().to_data()
        return {name: value for name, value in self.to_data().items() if value != usual[name]}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> Limits:
        """Limits from their names; what is not named has its default.

        Raises:
            UsageError: an unknown name, or a value that is no positive number.
        """
        known = [field.name for field in fields(Limits)]
        for name in data:
            if name not in known:
                raise UsageError(f"there is no limit `{name}`{did_you_mean(str(name), known)}")
        return Limits(**data)


def limits_of(given: Mapping[str, Any], base: Limits | None = None) -> Limits:
    """Limits as people give them: of bytes as ``parse_size`` reads them, of seconds as ``parse_duration`` does.

    What is not given is as in ``base``, else the usual.

    Raises:
        UsageError: an unknown name, or a value that does not fit.
    """
    data: dict[str, Any] = dict((base or Limits()).to_data())
    for name, value in given.items():
        if name not in data:
            raise UsageError(
                f"there is no limit `{str(name)[:_LONGEST_TEXT]}`{did_you_mean(str(name), data)}",
                remedy=f"there are {', '.join(data)}",
            )
        try:
            data[name] = _limit_value(name, value)
        except UsageError as error:
            raise UsageError(f"the limit `{name}`: {error.message}", remedy=error.remedy) from None
    return Limits(**data)


def _limit_value(name: str, value: Any) -> Any:
    if "_bytes" in name:
        return parse_size(value)
    if name.endswith("_seconds"):
        return parse_duration(value)
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if type(value) is int:
        return value
    raise UsageError(f"`{str(value)[:_LONGEST_TEXT]}` is not a whole number")


def parse_size(value: float | str) -> int:
    """Bytes of ``"64MiB"``, ``"512 KiB"``, ``"1.5GiB"``; a whole number, or a string of one, is bytes.

    Raises:
        UsageError: none of these.
    """
    if type(value) is int and value >= 0:
        return value
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
    count = Decimal(found[1]) * _SIZE_UNITS[found[2] or "B"] if found else None
    if count is None or count != int(count):
        raise UsageError(
            f"`{str(value)[:_LONGEST_TEXT]}` is not a size",
            remedy="write bytes as a whole number, or 512KiB, 64MiB, 1.5GiB",
        )
    return int(count)


def format_size(count: int) -> str:
    """The size as ``parse_size`` reads it: ``64MiB``, ``1000B``."""
    for unit, size in reversed(_SIZE_UNITS.items()):
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"


_WHOLE: Final = re.compile(r"[0-9][0-9_]{0,18}")
_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(B|KiB|MiB|GiB|TiB)?")
_SIZE_UNITS: Final = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB}


# -- durations -----------------------------------------------------------------------------------------

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhd])")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST_TEXT: Final = 64


def parse_duration(value: float | str) -> float:
    """Seconds of ``"250ms"``, ``"30s"``, ``"1h30m"``, ``"2d"``; a number, or a string of one, is seconds.

    Raises:
        UsageError: none of these, or longer than a hundred years.
    """
    if isinstance(value, str):
        seconds = _parse_text(value)
    elif type(value) in (int, float):  # and no bool, which is an int to Python
        # Compared before any conversion: a huge int has no float.
        seconds = float(value) if 0 <= value <= MAX_DURATION_SECONDS else None
    else:
        seconds = None
    if seconds is None:
        too_long_to_show = type(value) is int and abs(value) > MAX_DURATION_SECONDS
        shown = "so large a number" if too_long_to_show else f"`{str(value)[:_LONGEST_TEXT]}`"
        raise UsageError(
            f"{shown} is not a duration",
            remedy="write seconds as a number, or text such as 250ms, 30s, 1h30m, 2d; at most a hundred years",
        )
    return seconds


def _parse_text(text: str) -> float | None:
    text = text.strip()
    if not text or len(text) > _LONGEST_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        milliseconds = Decimal(text) * 1_000
    else:
        milliseconds = Decimal(0)
        position, largest = 0, math.inf
        while position < len(text):
            part = _PART.match(text, position)
            if part is None or _UNITS[part[2]] >= largest:
                return None
            largest = _UNITS[part[2]]
            milliseconds += Decimal(part[1]) * largest
            position = part.end()
    return float(milliseconds / 1_000) if milliseconds <= MAX_DURATION_SECONDS * 1_000 else None


def format_duration(seconds: float) -> str:
    """The duration as ``parse_duration`` reads it, rounded to milliseconds: ``1h30m``, ``1.5s``, ``250ms``.

    Raises:
        UsageError: a negative or infinite duration.
    """
    if not 0 <= seconds < math.inf:
        raise UsageError(f"`{seconds}` is not a duration")
    rest = round(seconds * 1_000)
    if rest < 1_000:
        return f"{rest}ms" if rest else "0s"
    parts = []
    for unit in ("d", "h", "m"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    if rest:
        whole, fraction = divmod(rest, 1_000)
        parts.append(f"{whole}.{fraction:03}".rstrip("0").rstrip(".") + "s")
    return "".join(parts)
