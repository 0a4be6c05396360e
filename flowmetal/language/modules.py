"""The modules that one main file reaches: their texts, their syntax trees, who loads whom.

Nothing here is evaluated.  Texts come as they are asked for (``missing``), so that whoever has them may sit in
another process.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import starlark

from flowmetal.errors import LanguageError
from flowmetal.language.diagnostics import diagnose, draw
from flowmetal.language.dialect import make_dialect
from flowmetal.language.labels import is_prelude, resolve_load, short_name
from flowmetal.language.package_loads import Rules
from flowmetal.language.scan import scan

PRIVATE: Final = "flowmetal__"
"""How names of the prelude begin that are for the host alone."""

_PUBLIC: Final = re.compile(r"^(?:def ([A-Za-z][A-Za-z0-9_]*)\(|([A-Za-z][A-Za-z0-9_]*) = )", re.MULTILINE)
_LOAD: Final = re.compile(r"^load\b", re.MULTILINE)


class Modules:
    """All modules of a program by label.

    Args:
        sources: texts that are at hand.
        earlier: modules some of which are perhaps the same; those need not be parsed again.
    """

    def __init__(self, sources: Mapping[str, str], earlier: Modules | None = None) -> None:
        self.sources = dict(sources)
        self._earlier = earlier
        self._rules: Rules = {}
        self._dialect = make_dialect()
        self._trees: dict[str, starlark.AstModule] = {}
        self._loads: dict[str, dict[str, str]] = {}
        self._names: dict[str, set[str]] = {}

    def take_rules(self, rules: Rules) -> None:
        """What the packages of the program may load: what was asked for meanwhile is read anew."""
        self._rules = rules
        self._loads.clear()

    def resolve(self, loader: str, written: str) -> str:
        """The label that a load string means; see ``labels.resolve_load``.

        Raises:
            LanguageError: it is none.
        """
        return resolve_load(loader, written, self._rules)

    def parse_text(self, name: str, text: str) -> starlark.AstModule:
        """The syntax tree of a text of the loader's own."""
        return starlark.parse(name, text, self._dialect)

    def tree(self, label: str) -> starlark.AstModule:
        """The syntax tree of a module, after the scan that keeps the parser from harm.

        Raises:
            LanguageError: a syntax error, with place, excerpt and hint.
        """
        tree = self._trees.get(label)
        if tree is None:
            self.names(label)
            if self._earlier is not None and self.is_as_earlier(label):
                return self._trees.setdefault(label, self._earlier.tree(label))
            try:
                tree = self._trees[label] = self.parse_text(label, self.sources[label])
            except starlark.StarlarkError as error:
                raise diagnose(str(error), self.sources).to_error() from None
        return tree

    def is_as_earlier(self, label: str) -> bool:
        """Whether a module has the very text that it had among the earlier ones."""
        return self._earlier is not None and self._earlier.sources.get(label) == self.sources[label]

    def names(self, label: str) -> set[str]:
        """The identifiers that a module's text uses.  The prelude's files are ours, and not looked at.

        Raises:
            LanguageError: the text is nested deeper than the parser is known to bear.
        """
        if label not in self._names:
            self._names[label] = set() if is_prelude(label) else scan(self.sources[label], short_name(label))
        return self._names[label]

    def loads(self, label: str) -> dict[str, str]:
        """The labels that a module loads, in order, each with what is written there for it.

        Raises:
            LanguageError: a syntax error, or a load string that is no label.
        """
        if label not in self._loads:
            found: dict[str, str] = {}
            for load in self.tree(label).loads():
                try:
                    found.setdefault(self.resolve(label, load.module_id), load.module_id)
                except LanguageError as error:
                    raise self._at_load(label, load.module_id, error) from None
            self._loads[label] = found
        return self._loads[label]

    def missing(self, main: list[str]) -> list[str]:
        """Labels reached from ``main`` by way of the texts at hand whose own text is not.

        Raises:
            LanguageError: as ``loads``.
        """
        seen = dict.fromkeys(main)
        waiting = list(main)
        missing = []
        while waiting:
            label = waiting.pop(0)
            if label not in self.sources:
                missing.append(label)
                continue
            new = [each for each in self.loads(label) if each not in seen]
            seen.update(dict.fromkeys(new))
            waiting += new
        return missing

    def unavailable(self, label: str, error: LanguageError) -> LanguageError:
        """The error of a text that cannot be had, at the line that loads it."""
        for loader, loads in self._loads.items():
            if label in loads and not error.place:
                return self._at_load(loader, loads[label], error)
        return error

    def in_order(self, main: str) -> list[str]:
        """The modules reached from ``main``, each after those it loads; every text is at hand.

        Raises:
            LanguageError: modules load each other; as ``loads``.
        """
        done: dict[str, None] = {}
        path: dict[str, list[str]] = {main: list(self.loads(main))}
        while path:
            label, waiting = next(reversed(path.items()))
            if not waiting:
                done[label] = None
                del path[label]
                continue
            needed = waiting.pop(0)
            if needed in path:
                raise self._circle(list(path), needed)
            if needed not in done:
                path[needed] = list(self.loads(needed))
        return list(done)

    def _circle(self, path: list[str], needed: str) -> LanguageError:
        last = path[-1]
        if last == needed:
            error = LanguageError(f"{short_name(last)} loads itself", remedy="its own names are there without a load")
        else:
            chain = " → ".join(short_name(it) for it in [*path[path.index(needed) :], needed])
            error = LanguageError(
                f"modules load each other in a circle: {chain}", remedy="move what both need into a third file"
            )
        return self._at_load(last, self._loads[last][needed], error)

    def _at_load(self, label: str, written: str, error: LanguageError) -> LanguageError:
        """An error at the line of a load; it is looked for only now, since most loads are well."""
        text = self.sources[label]
        wanted = re.compile(f"""["']{re.escape(written)}["']""")
        found = next((at for start in _LOAD.finditer(text) if (at := wanted.search(text, start.end()))), None)
        line = text.count("\n", 0, found.start()) + 1 if found else 0
        place = f"{short_name(label)}:{line}" if line else short_name(label)
        return LanguageError(error.message, place=place, excerpt=draw(text, line), remedy=error.remedy)


def prelude_names(text: str) -> list[str]:
    """The names that the prelude's main file gives to every flow file."""
    names = [function or value for function, value in _PUBLIC.findall(text)]
    return list(dict.fromkeys(name for name in names if not name.startswith(PRIVATE)))


def load_line(label: str, names: Iterable[str]) -> str:
    """The text that loads names of a module."""
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'load("{label}", {quoted})'


def is_bound(module: starlark.Module, name: str) -> bool:
    """Whether an evaluated module has a global of that name; one that is None counts as none."""
    try:
        return module[name] is not None
    except (starlark.StarlarkError, TypeError):
        return True  # bound to what cannot be converted, a function for instance
