"""Reading data that came as JSON or TOML field by field, so that whatever is wrong is named."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NoReturn

from flowmetal.errors import UsageError, did_you_mean
from flowmetal.permissions.texts import plain

_MAX_INT: Final = 1 << 53
_MAX_DEPTH: Final = 64
_TIME: Final = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
)
_KINDS: Final = {str: "a string", int: "a number", bool: "true or false", list: "a list", dict: "a table"}


class Fields:
    """A table whose fields are taken out one by one.

    Args:
        data: the table, as the parser made it.
        name: what errors call it, such as ``[package]``.
        known: the names that it may have.

    Raises:
        UsageError: it is no table, or has other names.
    """

    def __init__(self, data: Any, name: str, known: Collection[str]) -> None:
        if not isinstance(data, Mapping):
            raise UsageError(f"{name} is not a table")
        for key in data:
            if key not in known:
                raise UsageError(
                    f"{name} has no key `{plain(str(key))}`{did_you_mean(str(key), known)}",
                    remedy=f"there are {', '.join(known)}",
                )
        self._data = data
        self._name = name

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def text(self, key: str, default: str | None = None) -> str:
        """A string without control characters; without a default it must be there."""
        found = self._take(key, str, default)
        if any(ord(each) < 32 or 127 <= ord(each) < 160 for each in found) or not _is_utf8(found):
            raise UsageError(f"{self._name} {key} has a character that is no text")
        return str(found)

    def number(self, key: str, default: int | None = None) -> int:
        """A whole number that is not negative; without a default it must be there."""
        found = self._take(key, int, default)
        if not 0 <= found < _MAX_INT:
            raise UsageError(f"{self._name} {key} is not a number from 0 to {_MAX_INT - 1}")
        return int(found)

    def flag(self, key: str) -> bool:
        """A truth value, false where it is not there."""
        return bool(self._take(key, bool, False))

    def texts(self, key: str, default: list[str] | None = None) -> list[str]:
        """A list of strings; without a default it must be there."""
        found = self._take(key, list, default)
        if not all(isinstance(each, str) for each in found):
            raise UsageError(f"{self._name} {key} is not a list of strings", remedy=f'write {key} = ["…", "…"]')
        return list(found)

    def table(self, key: str) -> Mapping[str, Any]:
        """A table with names of any kind, empty where it is not there."""
        found: Mapping[str, Any] = self._take(key, dict, {})
        return found

    def _take(self, key: str, kind: type, default: Any) -> Any:
        found = self._data.get(key, default)
        if found is None:
            raise UsageError(f"{self._name} has no `{key}`")
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise UsageError(f"{self._name} {key} is not {_KINDS[kind]}")
        return found


def check_time(text: str, name: str) -> str:
    """``text``, which is a time such as ``2026-01-31T23:59:59Z``.

    Raises:
        UsageError: it is none.
    """
    if not _TIME.fullmatch(text):
        raise UsageError(f"{name} is not a time such as 2026-01-31T23:59:59Z")
    return text


def read_json(data: bytes, limit_bytes: int) -> Any:
    """What JSON bytes say: no names twice, no fractions, not deep.

    Raises:
        UsageError: they are not such JSON, or more than ``limit_bytes``.
    """
    if len(data) > limit_bytes:
        raise UsageError(f"it has more than {limit_bytes:,} bytes")
    try:
        text = data.decode("utf-8")
        if _depth(text) > _MAX_DEPTH:
            raise UsageError("it is nested too deeply")
        return json.loads(text, object_pairs_hook=_object, parse_float=_no_fraction, parse_constant=_no_fraction)
    except UnicodeDecodeError as error:
        raise UsageError(f"byte {error.start:,} is not UTF-8") from None
    except ValueError as error:
        raise UsageError(f"it is not JSON: {error}") from None


def canonical_json(data: Any) -> bytes:
    """Data of texts, whole numbers, truth values, lists and objects in the one form that is digested (RFC 8785)."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def at(place: str, error: UsageError) -> UsageError:
    """``error`` with the place where the data came from."""
    return UsageError(error.message, place=place, remedy=error.remedy)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UsageError("it has a name twice in one object")
    return found


def _no_fraction(text: str) -> NoReturn:
    raise UsageError(f"it has the number {text[:40]}; only whole numbers are meant to be in it")


def _depth(text: str) -> int:
    """An upper bound of the nesting, brackets inside of strings included."""
    deepest = depth = 0
    for each in text:
        if each in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif each in "]}":
            depth -= 1
    return deepest


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)
