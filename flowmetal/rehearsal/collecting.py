"""Test files: which there are, and the tests in them."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from flowmetal.assembly import locate_program
from flowmetal.errors import LanguageError, UsageError, did_you_mean
from flowmetal.language.labels import TEST_SUFFIX, resolve_load
from flowmetal.language.syntax import parse
from flowmetal.package_graph import PackageSource
from flowmetal.packages.late import Conduct
from flowmetal.rehearsal.literals import quoted
from flowmetal.rehearsal.script import NAMES
from flowmetal.sources import FileSources, working_directory

PREFIX: Final = "test_"
MAIN: Final = "//<tests>"
"""The module that makes a flow of each test; places in it are never shown."""

_AT_TOP: Final = re.compile(rf"^(?:def ({PREFIX}\w+)\s*\(|({PREFIX}\w+)\s*=)", re.MULTILINE)
_TESTING: Final = "pkg.flowmetal.io/v1/testing"
_NOT_ENTERED: Final = ("node_modules", "__pycache__")


@dataclass(frozen=True, slots=True)
class Selected:
    """A test file, as the person named it, and of its tests those named with ``::``; none for all."""

    file: str
    names: tuple[str, ...] = ()


def find_files(paths: Sequence[str]) -> list[Selected]:
    """The test files of paths: files, ``FILE::test_name``, and all below directories, each file once.

    Raises:
        UsageError: no such path, a file that is no flow file, or no test file at all.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path in paths or (".",):
        file, several, name = path.partition("::")
        if several and not name:
            raise UsageError(f"`{path}` names no test", remedy=f"write {file}::test_name")
        if os.path.isdir(file):
            if name:
                raise UsageError(f"{file} is a directory, it has no `{name}`", remedy="name a file before `::`")
            for each in _below(file):
                found[each] = ()
        elif not os.path.exists(file):
            near = did_you_mean(file, [str(each) for each in Path(os.path.dirname(file) or ".").glob("*.flow")])
            raise UsageError(f"there is no file {file}{near}")
        elif not file.endswith(".flow"):
            raise UsageError(f"{file} is not a .flow file", remedy=f"test files end in {TEST_SUFFIX}")
        else:
            known = found.get(file)
            found[file] = (*(known or ()), name) if name and known != () else ()
    if not found:
        where = ", ".join(paths) or working_directory()
        raise UsageError(
            f"there is no test file in {where}",
            remedy=f"a test file is named like lib{TEST_SUFFIX} and holds functions `def {PREFIX}…(t):`",
        )
    return [Selected(file, names) for file, names in found.items()]


def _below(directory: str) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(each for each in folders if not each.startswith(".") and each not in _NOT_ENTERED)
        for each in sorted(files):
            if each.endswith(TEST_SUFFIX):
                path = os.path.join(folder, each)
                yield path[2:] if path.startswith("./") else path


@dataclass(frozen=True, slots=True)
class TestSources:
    """The modules of a test file, one more that makes its tests flows, and those that are not written yet by label."""

    files: FileSources
    main: str
    unwritten: Mapping[str, str] = field(default_factory=dict)

    @property
    def packages(self) -> PackageSource | None:
        """Where packages come from."""
        return self.files.packages

    def text_of(self, label: str) -> str:
        """The text of a module.

        Raises:
            LanguageError: there is no such module.
        """
        if label in self.unwritten:
            return self.unwritten[label]
        return self.main if label == MAIN else self.files.text_of(label)


@dataclass(frozen=True, slots=True)
class TestFile:
    """A test file that was read: its tests, those that are to run, and where its modules come from."""

    file: str
    label: str
    names: tuple[str, ...]
    sources: TestSources


def read_test_file(selected: Selected, keyword: str = "", conduct: Conduct | None = None) -> TestFile:
    """A test file with the tests in it that are selected, by name and by a text that ``file::name`` holds.

    ``conduct`` says how packages may be had.

    Raises:
        UsageError: it cannot be read, or has no test of a name that was asked for.
        LanguageError: it is no text.
    """
    label, files = locate_program(selected.file, conduct)
    try:
        resolve_load(MAIN, label)
    except LanguageError:
        raise UsageError(
            f"{selected.file} has a name that no module can have",
            remedy="folders and files are named with letters, digits, `_`, `.`, `+` and `-`",
        ) from None
    files = replace(files, plugged_in=(*files.plugged_in, *NAMES))
    every = tests_in(files.text_of(label))
    for name in selected.names:
        if name not in every:
            raise UsageError(
                f"{selected.file} has no test `{name}`{did_you_mean(name, every)}",
                remedy=f"its tests are: {', '.join(every)}" if every else f"a test begins with `{PREFIX}`",
            )
    chosen = [
        name
        for name in (selected.names or every)
        if not keyword or keyword.lower() in f"{selected.file}::{name}".lower()
    ]
    return TestFile(selected.file, label, tuple(chosen), TestSources(files, _main_text(label, every)))


def unwritten_test_file(file: str, label: str, text: str, files: FileSources) -> TestFile:
    """A test file that is to be ``file``, of a program whose modules are ``files``."""
    names = tests_in(text)
    files = replace(files, plugged_in=(*files.plugged_in, *NAMES))
    return TestFile(file, label, tuple(names), TestSources(files, _main_text(label, names), {label: text}))


def tests_in(text: str) -> list[str]:
    """The names of the tests that a text defines at its top level, in order."""
    tree = parse(text)
    if tree is None:
        return list(dict.fromkeys(found[1] or found[2] for found in _AT_TOP.finditer(text)))
    names: dict[str, None] = {}
    for node in tree.body:
        targets = [node] if isinstance(node, ast.FunctionDef) else getattr(node, "targets", [])
        for target in targets:
            name = str(getattr(target, "name", getattr(target, "id", "")))
            if name.startswith(PREFIX):
                names[name] = None
    return list(names)


def _main_text(label: str, names: Sequence[str]) -> str:
    """A module that makes a flow of each test; all of them, so that the program is the same whatever is selected."""
    loaded = "".join(f', _{at} = "{name}"' for at, name in enumerate(names))
    made = "".join(f"{name} = _test(_{at}, {quoted(name)})\n" for at, name in enumerate(names))
    return f'load("{_TESTING}", _test = "flowmetal__test")\nload("{label}"{loaded})\n{made}' if names else ""
