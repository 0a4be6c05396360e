"""What the text of a package calls that its manifest lets it do nothing of: it would be refused wherever it is used.

A run of the package's own tests does not tell, since there its code is the run's own, and no package's.  Only the class
of an effect is looked at: which path or host it is about comes of arguments.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from flowmetal.language.labels import TEST_SUFFIX
from flowmetal.language.scopes import Scope, parts_of, scope_of
from flowmetal.language.syntax import CONTEXT, parse

CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("read", "list_dir", "glob", "stat", "digest", "read_csv", "read_json"), ("read",)),
    **dict.fromkeys(("write", "append", "remove", "make_dir", "write_csv", "write_json"), ("write",)),
    "copy": ("read", "write"),
    **{name: (name,) for name in ("exec", "env", "secret", "call", "signal", "state")},
    "http": ("net",),
}
"""The classes of grants that an effect needs one of each of; of an effect with parts, ``http.get``, by its first."""
_HOLDERS: Final = (f"{CONTEXT}.actions.", "effects.")


def lacking(files: Mapping[str, bytes], permissions: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """The classes that no permission is of, each with an effect that needs it and where that is named, ``x.flow:3``."""
    there = {text.partition("=")[0] for text in permissions}
    for path in sorted(files):
        if path.endswith(".flow") and not path.endswith(TEST_SUFFIX):
            for name, line in _effects_in(files[path].decode(errors="replace")):
                for needed in CLASSES.get(name.partition(".")[0], ()):
                    if needed not in there:
                        there.add(needed)
                        yield needed, name, f"{path}:{line}"


def _effects_in(text: str) -> list[tuple[str, int]]:
    """The effects that a module names, to call them or to hand them on, with the line, in the order of its lines."""
    tree = parse(text)
    found: set[tuple[int, str]] = set()
    pending: list[tuple[ast.AST, Scope]] = [(tree, scope_of(tree, None))] if tree is not None else []
    while pending:
        node, scope = pending.pop()
        if isinstance(node, ast.Attribute):
            path = scope.path(node)
            head = next((each for each in _HOLDERS if path.startswith(each)), None)
            if head is not None:
                found.add((node.lineno, path.removeprefix(head)))
        pending += parts_of(node, scope)
    return [(name, line) for line, name in sorted(found)]
