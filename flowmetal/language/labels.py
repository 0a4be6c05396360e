"""Labels: the names of modules.

The main file and what it loads relatively are ``//dir/file.flow``, counted from the program's root directory.  A module
of a package is ``host/path//dir/file.flow``, without a version: of a package, a program has one.  The packages that
Flowmetal carries are ``pkg.flowmetal.io/v1/NAME``; the name alone means the package's ``NAME.flow``, of others the
entry that their manifest names.  Only the prelude may ask the host, the others are ordinary modules.  Resolving is pure
text: nothing here touches a disk.

What a package's modules may load is in its *rules*, which come from manifests.  While a program is loaded they are not
known at first: then a load of a package means a *request*, which is what was written, in one form; see
``package_loads``.
"""

from __future__ import annotations

import re
from typing import Final

from flowmetal.errors import LanguageError, did_you_mean
from flowmetal.language.package_loads import Rules, is_package_load, parse_load, resolve_package

_CARRIED_HOST: Final = "pkg.flowmetal.io/"
_CARRIED: Final = f"{_CARRIED_HOST}v1/"
PRELUDE: Final = f"{_CARRIED}prelude"
PACKAGES: Final = (PRELUDE, f"{_CARRIED}jobs", f"{_CARRIED}recovery", f"{_CARRIED}testing", f"{_CARRIED}time")
"""The packages that are carried with Flowmetal."""
PRELUDE_MAIN: Final = f"{PRELUDE}//prelude.flow"
TEST_SUFFIX: Final = "_test.flow"
"""What the names of files of tests end in."""
_PRELUDE_ONLY: Final = frozenset(
    f"{PRELUDE}//{name}.flow" for name in ("actions", "flows", "parallel", "results", "wire")
)
"""Files of the prelude whose names are for its other files: its manifest exports none of them."""

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_MAX_LABEL: Final = 200
_NO_RULES: Final[Rules] = {}


def resolve_load(loader: str, written: str, rules: Rules = _NO_RULES) -> str:
    """The label meant by ``load(written, …)`` in the module ``loader``.

    Without rules a package is not looked up: the answer is then the request for it, ``host/path@version//file.flow``.

    Raises:
        LanguageError: a form that is no label, with the right form where one can be guessed.
    """
    package, _, own_file = loader.rpartition("//")
    wanted, slashes, file = written.partition("//")
    if wanted in PACKAGES:
        label = f"{wanted}//{_normal(file.split('/'), written) if slashes else _main_of(wanted)}"
        if label in _PRELUDE_ONLY and package != PRELUDE:
            raise LanguageError(
                f'load("{written}"): this file is for the prelude itself', remedy=f'did you mean "{PRELUDE}"?'
            )
        return label
    if written.startswith("//"):
        return f"{package}//{_normal(written[2:].split('/'), written, package)}"
    if written.startswith(("./", "../")):
        return f"{package}//{_normal(own_file.split('/')[:-1] + written.split('/'), written, package)}"
    if is_package_load(written) and not wanted.startswith(_CARRIED_HOST):
        asked = parse_load(written)
        file = _normal(asked.file.split("/"), written, asked.package) if asked.file else ""
        return resolve_package(package, asked, file, written, rules) if rules else asked.text(file)
    raise _not_a_label(written)


def _main_of(package: str) -> str:
    return f"{package.removeprefix(_CARRIED)}.flow"


def _normal(segments: list[str], written: str, package: str = "") -> str:
    """The path in normal form below the root of a package, "" being the program."""
    done: list[str] = []
    for segment in segments:
        if segment == ".":
            continue
        if segment == "..":
            if not done:
                whose = f"the package {package}" if package else "the program's root"
                remedy = (
                    "its files load each other, and other packages by their names"
                    if package
                    else "the root is the nearest folder upward with a flowmetal.toml, else the main file's folder"
                )
                raise LanguageError(f'load("{written}") leaves {whose}', remedy=remedy)
            done.pop()
        elif _SEGMENT.fullmatch(segment):
            done.append(segment)
        else:
            raise LanguageError(f'load("{written}") has a part that is not allowed: {segment!r}')
    label = "/".join(done)
    if not label.endswith(".flow"):
        raise LanguageError(f'load("{written}") does not name a .flow file', remedy=f'did you mean "{written}.flow"?')
    if len(label) > _MAX_LABEL:
        raise LanguageError(f"a label is longer than {_MAX_LABEL} characters")
    return label


def _not_a_label(written: str) -> LanguageError:
    if re.match(r"\w+://", written):
        return LanguageError(
            f'load("{written}") is not a label', remedy='a package is named without a scheme: "host/path"'
        )
    bare = written.lstrip(":/")
    if written.startswith("pkg.flowmetal.io/"):
        near = did_you_mean(written, PACKAGES)
        return LanguageError(
            f'load("{written}"): no such package is carried with Flowmetal{near}',
            remedy=f"these are: {', '.join(PACKAGES)}",
        )
    if (written.endswith(".flow") and "/" not in bare.split(".flow")[0]) or written.startswith(":"):
        return LanguageError(f'load("{written}") is not a label', remedy=f'a file beside this one is "./{bare}"')
    if written.endswith(".flow"):
        name, _, file = bare.rpartition("/")
        of_package = f', or "{name}//{file}", of a package' if is_package_load(f"{name}//{file}") else ""
        return LanguageError(
            f'load("{written}") is not a label',
            remedy=f'write "./{bare}", from this file\'s folder, "//{bare}", from the program\'s root{of_package}',
        )
    if _SEGMENT.fullmatch(written) and "." not in written:
        return LanguageError(
            f'load("{written}") is not a label', remedy=f'a file beside this one is "./{written}.flow"'
        )
    return LanguageError(
        f'load("{written}") is not a label',
        remedy='write "./file.flow", "//folder/file.flow", or "host/path" of a package',
    )


def is_prelude(label: str) -> bool:
    """Whether a module belongs to the prelude, which may ask the host."""
    return label.startswith(f"{PRELUDE}//")


def is_carried(label: str) -> bool:
    """Whether a module belongs to a package that is carried with Flowmetal, the prelude's included."""
    return label.rpartition("//")[0] in PACKAGES


def carried_file(label: str) -> str:
    """Where the text of a carried module is, below the directory of the prelude's files.

    Raises:
        LanguageError: there is no such package, or no such file of the prelude.
    """
    package, _, name = label.rpartition("//")
    if package == PRELUDE and "/" not in name:
        return name
    if package in PACKAGES and package != PRELUDE:
        return f"{package.removeprefix(_CARRIED)}/{name}"
    raise LanguageError(f"there is no {label}")


def short_name(label: str) -> str:
    """How a label is shown to a person: without the leading slashes of the program's own files."""
    return label.removeprefix("//")
