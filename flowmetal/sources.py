"""Where the text of modules comes from when a program is loaded from files: its root, and the prelude."""

from __future__ import annotations

import errno
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowmetal.errors import LanguageError, UsageError, did_you_mean
from flowmetal.language.labels import PRELUDE_MAIN, carried_file, is_carried
from flowmetal.language.package_loads import is_package_load
from flowmetal.language.scan import MAX_SOURCE_BYTES, decode_source
from flowmetal.package_graph import PackageSource

PROJECT_FILE: Final = "flowmetal.toml"
_PLUG: Final = "    # Those of plug-ins come here."


@dataclass(frozen=True, slots=True)
class FileSources:
    """Modules below ``root``; ``prelude`` is the directory of the prelude's files and of what else is carried.

    ``plugged_in`` are the names, such as ``greeting.greet``, of effects that the prelude has beside its own;
    ``packages`` is where packages come from.
    """

    root: Path
    prelude: Path
    plugged_in: tuple[str, ...] = ()
    packages: PackageSource | None = None

    def text_of(self, label: str) -> str:
        """The text of a module.

        Raises:
            LanguageError: there is no such file, it cannot be read, or is not UTF-8.
        """
        package, _, name = label.rpartition("//")
        if is_carried(label):
            directory, name = self.prelude, carried_file(label)
        elif package:
            raise LanguageError(f"there is no package {package}")
        else:
            directory = self.root
        path = directory / name
        shown = name if is_carried(label) else _shown(path)
        try:
            resolved = path.resolve(strict=True)
            if not resolved.is_relative_to(directory.resolve()):
                raise LanguageError(f"{shown} is a link that leaves the program's root", place=shown)
            text = decode_source(read_regular(resolved, MAX_SOURCE_BYTES + 1), shown)
            return _plug_in(text, self.plugged_in) if label == PRELUDE_MAIN and self.plugged_in else text
        except FileNotFoundError:
            raise LanguageError(
                f"there is no file {shown}{self._near(path)}", remedy=f"the program's root is {directory}"
            ) from None
        except OSError as error:
            raise LanguageError(f"{shown} cannot be read: {error.strerror}") from None

    def _near(self, path: Path) -> str:
        try:
            names = os.listdir(path.parent)
        except OSError:
            return ""
        return did_you_mean(path.name, names)


def _plug_in(text: str, names: tuple[str, ...]) -> str:
    """The prelude with more effects.

    They become part of its text, which is pinned with a run: on a machine without the plug-in the run finds the same
    names again, and an Err only where it asks for more of them.
    """
    spaces: dict[str, list[str]] = {}
    for name in sorted(names):
        space, _, last = name.partition(".")
        spaces.setdefault(space, []).append(f'{last} = _make_effect("{name}", {{}})')
    made = "\n".join(f"    {space} = struct({', '.join(fields)})," for space, fields in spaces.items())
    used = "\n".join(f"    {space} = effects.{space}," for space in spaces)
    return text.replace(_PLUG, made, 1).replace(_PLUG, used, 1)


def working_directory() -> str:
    """The directory that relative paths count from.

    Raises:
        UsageError: it has been removed, may not be looked at, or its path is not UTF-8.
    """
    try:
        return require_utf8(os.getcwd(), "the working directory")
    except OSError as error:
        raise UsageError(
            f"the working directory cannot be used: {error.strerror}",
            remedy="it was probably removed: change into one that exists",
        ) from None


def require_utf8(path: str, what: str) -> str:
    """``path``, which the journal must be able to hold.

    Raises:
        UsageError: it has bytes that are not UTF-8; ``what`` it is begins the message.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{what} {path!r} is not a path in UTF-8", remedy="rename it, or choose another") from None
    return path


def _shown(path: Path) -> str:
    """A file as a person would name it from where they are."""
    try:
        return os.path.relpath(path)
    except OSError:
        return str(path)


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file, ``limit_bytes`` of them at most: a pipe or a device is never waited for.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return file.read(limit_bytes)


def read_given(name: str, limit_bytes: int) -> bytes:
    """The bytes of what a person names: a regular file, or ``-`` for stdin; ``limit_bytes`` of them at most.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    if name != "-":
        return read_regular(Path(name), limit_bytes)
    if sys.stdin is None:
        raise OSError(errno.EBADF, "stdin is closed")
    return sys.stdin.buffer.read(limit_bytes)


def locate(file: str, prelude: Path, plugged_in: tuple[str, ...] = ()) -> tuple[str, FileSources]:
    """The label of a main file, and the sources it is to be loaded from.

    ``plugged_in`` are the names of effects that plug-ins bring.
    The root is the nearest folder upward with a ``flowmetal.toml``, else the file's own folder.

    Raises:
        UsageError: no such file, a directory, or not a ``.flow`` file.
    """
    path = Path(file)
    if is_package_load(file) and not os.path.exists(file.partition("/")[0]):
        folder_part, slash, last = file.rpartition("/")
        load = folder_part + slash + last.partition(":")[0]
        raise UsageError(
            f"{file} names a package, and no file", remedy=f'write a file with load("{load}", …) in it, and run that'
        )
    if path.suffix != ".flow":
        raise UsageError(
            f"{file} is not a .flow file", remedy="flow files end in .flow; a flow of one is named FILE.flow:NAME"
        )
    if not path.exists():
        names = [str(each) for each in path.parent.glob("*.flow")] if path.parent.is_dir() else []
        raise UsageError(f"there is no file {file}{did_you_mean(file, names)}")
    if not path.is_file():
        raise UsageError(f"{file} is not a file")
    require_utf8(file, "the file")
    folder = path.resolve().parent
    root = next((each for each in [folder, *folder.parents] if (each / PROJECT_FILE).is_file()), folder)
    return f"//{path.resolve().relative_to(root).as_posix()}", FileSources(root, prelude, plugged_in)
