"""``read(path)``: the text of a file."""

from __future__ import annotations

import os
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import MAX_BYTES, Wire

MAX_TEXT_BYTES: Final = MAX_BYTES - 64
"""The largest text that fits, as a result, into a value."""


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("read", args, context)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    return read_text(allowed[0], args["path"])


def read_text(allowed: Allowed, path: str) -> str:
    """The text of a file.

    Args:
        allowed: the decision.
        path: for errors: as the flow gave it.

    Raises:
        EffectFailure: of kind ``limit`` when it is larger than ``MAX_TEXT_BYTES``.
    """
    try:
        with reach(allowed, "read", path) as place:
            fd, found = place.open_regular(os.O_RDONLY)
            try:
                if found.st_size > MAX_TEXT_BYTES:
                    raise _too_large(path, found.st_size)
                data = _read_up_to(fd, MAX_TEXT_BYTES + 1)
            finally:
                os.close(fd)
    except OSError as error:
        raise os_failure("read", path, error) from None
    if len(data) > MAX_TEXT_BYTES:
        raise _too_large(path, len(data))
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EffectFailure(
            f"cannot read `{plain(path)}`: it is not UTF-8 text: byte {error.start:,} is 0x{data[error.start]:02x}",
            details={"path": plain(path), "offset": error.start},
        ) from None


def _read_up_to(fd: int, limit: int) -> bytes:
    """All bytes up to the end of the file or ``limit``, whatever its size was said to be."""
    chunks = bytearray()
    while len(chunks) < limit:
        chunk = os.read(fd, limit - len(chunks))
        if not chunk:
            break
        chunks += chunk
    return bytes(chunks)


def _too_large(path: str, size: int) -> EffectFailure:
    return EffectFailure(
        f"cannot read `{plain(path)}`: it has {size:,} bytes or more, and a value holds at most {MAX_TEXT_BYTES:,} "
        "(1 MiB encoded); split the file, or pass its path instead of its text: to a Python function by `call`, to a "
        "program by `exec`",
        kind="limit",
        details={"path": plain(path), "limit_bytes": MAX_TEXT_BYTES},
    )


READ: Final = Effect(
    name="read",
    doc="The text of a regular file in UTF-8, of at most 1 MiB, exactly as it is.",
    parameters=(Parameter("path", "str", "the file; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
    sample="",
)
