"""``list_dir(path)``: the names in a directory."""

from __future__ import annotations

import os
from typing import Final

from flowmetal.actions.beneath import reach, want_path
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import MAX_BYTES, MAX_NODES, Wire

MAX_NAMES: Final = MAX_NODES - 64
MAX_NAMES_BYTES: Final = MAX_BYTES - 64
_BYTES_BESIDE_A_NAME: Final = 3
"""What the encoding adds to a name of up to 64 KiB."""


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return want_path("read", args, context, is_directory=True)


def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    path: str = args["path"]
    try:
        with reach(allowed[0], "list", path) as place:
            fd = place.open_directory()
            try:
                return sorted(_names(fd, path))
            finally:
                os.close(fd)
    except OSError as error:
        raise os_failure("list", path, error) from None


def _names(fd: int, path: str) -> list[str]:
    names: list[str] = []
    size = 0
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                size += len(entry.name.encode("utf-8")) + _BYTES_BESIDE_A_NAME
            except UnicodeEncodeError:
                raise EffectFailure(
                    f"cannot list `{plain(path)}`: the name `{plain(entry.name)}` in it is not UTF-8",
                    details={"path": plain(path)},
                ) from None
            names.append(entry.name)
            if len(names) > MAX_NAMES or size > MAX_NAMES_BYTES:
                raise EffectFailure(
                    f"cannot list `{plain(path)}`: it has more names than a value holds "
                    f"({MAX_NAMES:,} names, {MAX_NAMES_BYTES:,} bytes); spread the files over several directories",
                    kind="limit",
                    details={"path": plain(path), "limit_names": MAX_NAMES, "limit_bytes": MAX_NAMES_BYTES},
                )
    return names


LIST_DIR: Final = Effect(
    name="list_dir",
    doc="The names of all entries of a directory, hidden ones too, sorted by code points.",
    parameters=(Parameter("path", "str", "the directory; relative to the run's starting directory"),),
    mode="thread",
    want=_want,
    perform=_perform,
    sample=[],
)
