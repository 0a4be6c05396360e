"""Paths compared as lists of names, never as strings.

``/data`` holds ``/data/x`` and not ``/data2``.  On macOS, whose file systems take ``É`` for its decomposed form
and usually ``A`` for ``a``, names are compared as the file system would.  Folding can only make more names
equal; it never opens anything, because what is opened lies beneath the directory of the grant in any case.
"""

from __future__ import annotations

import os.path
import sys
import unicodedata
from functools import lru_cache
from typing import Final

FOLD_NAMES: Final = sys.platform == "darwin"
"""Whether file names are compared in normal form and without case."""


def absolute(path: str, base_dir: str) -> str:
    """``path`` against ``base_dir``, without ``.``, ``..`` and doubled slashes; links are not looked at."""
    joined = os.path.normpath(os.path.join(base_dir, path))
    # POSIX lets exactly two leading slashes mean something else; nothing we run on does.
    return joined[1:] if joined.startswith("//") else joined


def is_canonical(path: str) -> bool:
    """Whether ``path`` is absolute and in the form that ``absolute`` gives."""
    return path.startswith("/") and "\0" not in path and absolute(path, "/") == path


@lru_cache(maxsize=1024)
def parts(path: str, *, fold: bool = FOLD_NAMES) -> tuple[str, ...]:
    """The names of a canonical path, as they are compared."""
    if fold:
        path = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    return tuple(name for name in path.split("/") if name)


def contains(directory: str, path: str, *, fold: bool = FOLD_NAMES) -> bool:
    """Whether ``path`` is ``directory`` or lies in it; both canonical."""
    outer = parts(directory, fold=fold)
    return parts(path, fold=fold)[: len(outer)] == outer


def below(directory: str, path: str) -> tuple[str, ...]:
    """The names of ``path``, as written, after those of the ``directory`` that contains it."""
    return parts(path, fold=False)[len(parts(directory, fold=False)) :]
