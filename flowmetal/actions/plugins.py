"""Effects that other packages bring, by the entry point group ``flowmetal.effects``.

    [project.entry-points."flowmetal.effects"]
    greeting = "greeting_effects:EFFECTS"

The name is a namespace, the value an ``Effect`` or a list of them, whose names are ``greeting.NAME``.  Installing a
package grants nothing: beside what it wants itself, each of its effects wants ``effect=greeting.NAME``.

The files that name entry points are read here, without ``importlib.metadata``: importing that takes longer than all
else that a short run does before it starts, and most installations have no such package.
"""

from __future__ import annotations

import importlib
import keyword
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, plain
from flowmetal.actions.registry import STANDARD, Registry
from flowmetal.permissions.decision import Allowed, Want

GROUP: Final = "flowmetal.effects"

_TAKEN: Final = frozenset(
    [
        "run",
        "wait",
        "wait_any",
        "cancel",
        "defer",
        "clean",
        "release",
        "sleep",
        "sleep_until",
        "now",
        "random",
        "uuid",
        "log",
        "expose",
        "effects",
    ]
)
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_TARGET: Final = re.compile(r"([\w.]+)\s*:\s*([\w.]+)")
_MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Plugins:
    """What other packages bring, and in words what of it cannot be used."""

    effects: tuple[Effect, ...] = ()
    problems: tuple[str, ...] = ()


def discover(paths: Iterable[str] | None = None) -> Plugins:
    """The effects of all packages that are installed in ``paths``, by default where modules are found."""
    effects: dict[str, tuple[Effect, ...]] = {}
    problems = []
    for namespace, target, package in _entry_points(sys.path if paths is None else paths):
        try:
            if namespace in effects:
                raise ValueError("another package brings effects of that name")
            effects[namespace] = _load(namespace, target)
        except (Exception, SystemExit) as error:
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            problems.append(plain(f"the effects `{namespace}` of {package} cannot be used: {kind}{error}")[:500])
    return Plugins(tuple(each for some in effects.values() for each in some), tuple(problems))


def _load(namespace: str, target: str) -> tuple[Effect, ...]:
    if not _NAME.fullmatch(namespace) or keyword.iskeyword(namespace):
        raise ValueError("the name is not one of lower case letters, digits and `_`")
    if namespace in _TAKEN or any(name.partition(".")[0] == namespace for name in STANDARD):
        raise ValueError("Flowmetal itself has something of that name")
    match = _TARGET.fullmatch(target)
    if match is None:
        raise ValueError(f"`{target}` is not MODULE:NAME")
    found: Any = importlib.import_module(match[1])
    for part in match[2].split("."):
        found = getattr(found, part)
    effects = (found,) if isinstance(found, Effect) else tuple(found)
    for effect in effects:
        if not isinstance(effect, Effect):
            raise ValueError(f"{target} holds a value of type {type(effect).__name__}, not an Effect")
        first, _, name = effect.name.partition(".")
        if first != namespace or not _NAME.fullmatch(name) or keyword.iskeyword(name):
            raise ValueError(f"the effect `{effect.name}` is not called `{namespace}.NAME`")
        if effect.mode not in ("inline", "thread", "async"):
            raise ValueError(f"the effect `{effect.name}` has the mode {effect.mode!r}")
    return tuple(map(_behind_its_grant, Registry(effects).values()))


def _behind_its_grant(effect: Effect) -> Effect:
    """The effect, wanting also ``effect=NAME``."""

    def want(args: Arguments, context: EffectContext) -> list[Want]:
        return [Want("effect", effect.name, context.action_name), *effect.want(args, context)]

    def perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Any:
        return effect.perform(allowed[1:], args, context)

    return replace(effect, want=want, perform=perform)


# -- what is installed ---------------------------------------------------------------------------------


def _entry_points(paths: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Name, value and package of each entry point of the group; of a package found twice, the first one's."""
    seen = set()
    for path in paths:
        try:
            names = sorted(name for name in os.listdir(path or ".") if name.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue  # an archive, or nothing at all
        for name in names:
            package = name.rpartition(".")[0].partition("-")[0]
            text = _read(os.path.join(path, name, "entry_points.txt"))
            if f"[{GROUP}]" not in text or package in seen:
                continue
            seen.add(package)
            for entry, value in _section(text):
                yield entry, value, package


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _section(text: str) -> Iterator[tuple[str, str]]:
    is_ours = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            is_ours = line == f"[{GROUP}]"
        elif is_ours and "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()
