"""The texts of secrets: variables of the engine's own environment, and files that only their owner can read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flowmetal.errors import UsageError

MAX_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)


class SecretStore:
    """Secrets by name: the environment first, then ``directory``.

    Every call looks again, so that a secret that was changed is used from then on.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment

    def text(self, name: str) -> str | None:
        """The text of a secret, without the newline at the end of a file; None if there is none of that name.

        Raises:
            UsageError: its file can be read by others, is no regular file of ours, or is no text.
        """
        if not _NAME.fullmatch(name):
            return None
        return self._environment.get(name) or self._from_file(name)

    def _from_file(self, name: str) -> str | None:
        path = self._directory / name
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(
                f"the secret {name} cannot be read from {path}: {error.strerror}", remedy="make it a plain file"
            ) from None
        try:
            about = os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                raise UsageError(f"{path} is no regular file", remedy="write the secret to a plain file")
            if about.st_uid != os.getuid():
                raise UsageError(f"{path} belongs to another user", remedy="a secret's file must be your own")
            if about.st_mode & 0o077:
                raise UsageError(f"other users can read {path}", remedy=f"chmod 600 {path}")
            data = os.read(fd, MAX_BYTES + 1)
        finally:
            os.close(fd)
        if len(data) > MAX_BYTES:
            raise UsageError(f"{path} is larger than {MAX_BYTES // 1024} KiB", remedy="a secret is a short text")
        try:
            return data.decode("utf-8").removesuffix("\n").removesuffix("\r") or None
        except UnicodeDecodeError:
            raise UsageError(
                f"{path} is not UTF-8 text", remedy="write the secret as text, in base64 for instance"
            ) from None
