"""Which Starlark flow files are written in: the one place that configures the binding.

``HOST_BINDING`` numbers the seam between a pinned prelude and this host: the private names the prelude calls, the
shape of what crosses, and the globals.  A change that an older prelude would notice raises the number, and the older
seam stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import starlark

DIALECT: Final = 1
HOST_BINDING: Final = 1


_Extension = starlark.LibraryExtension
_SAFE_EXTENSIONS: Final = [
    _Extension.StructType,
    _Extension.RecordType,
    _Extension.EnumType,
    _Extension.Map,
    _Extension.Filter,
    _Extension.Typing,
]


def make_dialect() -> starlark.Dialect:
    """Dialect 1: annotations are checked, statements are allowed at top level, f-strings work."""
    dialect = starlark.Dialect.extended()
    dialect.enable_types = starlark.DialectTypes.ENABLE
    dialect.enable_f_strings = True
    dialect.enable_keyword_only_arguments = True
    dialect.enable_top_level_stmt = True
    dialect.enable_load_reexport = False
    return dialect


def make_globals() -> starlark.Globals:
    """What flow files see besides the prelude.

    Partial stays off (its calls leave no stack frame of the module that made them), and so do Json (panics), Print,
    Debug, Breakpoint and Internal.
    """
    return starlark.Globals.extended_by(_SAFE_EXTENSIONS)


def make_prelude_globals() -> starlark.Globals:
    """What the prelude sees: ``call_stack`` too, by which it names the line that asked."""
    return starlark.Globals.extended_by([*_SAFE_EXTENSIONS, _Extension.CallStack])


def interpreter_version() -> str:
    """The version of the binding, from the name of its ``dist-info`` (ten times faster than ``importlib.metadata``)."""
    for entry in Path(starlark.__file__).parent.parent.glob("starlark_pyo3-*.dist-info"):
        return entry.name.removeprefix("starlark_pyo3-").removesuffix(".dist-info")
    return "unknown"
