"""To which package a module belongs, and how packages are named when something is granted to one.

``pkg.example.org/v1/deploy//k8s/x.flow`` is a file of the package ``pkg.example.org/v1/deploy``.  ``//dir/x.flow`` is
one of the root program; an operator who wants less for one of those names that very file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from flowmetal.errors import UsageError
from flowmetal.permissions.texts import plain

ROOT: Final = ""
"""The root program, whose authority is that of the run."""

_PACKAGE: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)+")
_FILE: Final = re.compile(r"//[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*\.flow")
_MAX_LABEL: Final = 400


def check_package(label: str) -> str:
    """``label``, of a package or of one file of the root program.

    Raises:
        UsageError: it is neither.
    """
    fits = len(label) <= _MAX_LABEL
    if fits and (_FILE.fullmatch(label) or (_PACKAGE.fullmatch(label) and "." in label.split("/")[0])):
        return label
    if fits and _PACKAGE.fullmatch(label) and label.split("/")[0].partition(":")[0] == "localhost":
        return label
    package, slashes, _ = label.partition("//")
    remedy = "write HOST/PATH, such as pkg.example.org/v1/deploy, or //FILE.flow for a file of the program"
    if package and slashes:
        remedy = f"a package is named without a file: {plain(package)}"
    raise UsageError(f"`{plain(label)}` is no package", remedy=remedy)


def package_of(module: str, named: Collection[str]) -> str:
    """The package of a module's label; ``named`` are the labels to which something is granted by name."""
    if module.startswith("//"):
        return module if module in named else ROOT
    return module.partition("//")[0]


def packages_of(modules: Iterable[str], named: Collection[str]) -> dict[str, str]:
    """The packages of a call stack but for the root program, each with the first of its modules."""
    found: dict[str, str] = {}
    for module in modules:
        package = package_of(module, named)
        if package != ROOT:
            found.setdefault(package, module)
    return found
