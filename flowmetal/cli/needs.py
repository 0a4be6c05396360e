"""Which grants a program needs: a gate that allows everything that can be granted, and remembers it."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

from flowmetal.permissions.decision import Allowed, Denied, Want, decide
from flowmetal.permissions.grants import Grant, GrantSet, everything
from flowmetal.permissions.packages import ROOT, packages_of
from flowmetal.permissions.refusal import grant_text
from flowmetal.permissions.vocabulary import PATH_EFFECTS


class Needs:
    """What the run (``ROOT``) and its packages would need, and what no grant would allow."""

    def __init__(self) -> None:
        self.never: dict[str, None] = {}
        self._wanted: dict[str, dict[str, None]] = {}

    def decide(
        self, grants: GrantSet, wants: Iterable[Want], modules: Sequence[str] = (), *, protected: tuple[str, ...] = ()
    ) -> tuple[Allowed, ...] | Denied:
        """As ``decide_all``, under all grants that there can be."""
        packages = packages_of(modules, [label for label, _ in grants.packages])
        all_of_it = everything()
        of_packages = tuple((label, all_of_it) for label in packages)
        widest = GrantSet(all_of_it.allow, grants.deny, of_packages, grants.ceilings)
        wanted = list(wants)
        for want in wanted:
            decision = decide(widest, want, modules, protected=protected)
            if isinstance(decision, Denied) and not decision.option:
                self.never[decision.message] = None
                return decision
        for want in wanted:
            for label in (ROOT, *packages):
                self._wanted.setdefault(label, {})[grant_text(want)] = None
        # Nothing is performed with these: the grant only has to be one.
        return tuple(Allowed(want, Grant("effect", "plan"), "", (), packages=tuple(packages)) for want in wanted)

    def grants(self) -> dict[str, list[str]]:
        """The smallest grants by package, the run's own under ``ROOT``."""
        return {label: smallest(self._wanted[label]) for label in sorted(self._wanted)}

    def options(self) -> list[str]:
        """These as options of ``flowmetal run``, quoted for a shell."""
        return [
            f"--allow {shlex.quote(text)}" if label == ROOT else f"--allow-for {shlex.quote(label)} {shlex.quote(text)}"
            for label, texts in self.grants().items()
            for text in texts
        ]

    def to_data(self) -> dict[str, Any]:
        """For JSON: ``{"allow": […], "packages": {label: […]}}``."""
        grants = self.grants()
        return {
            "allow": grants.get(ROOT, []),
            "packages": {label: texts for label, texts in grants.items() if label != ROOT},
        }


def smallest(texts: Iterable[str]) -> list[str]:
    """Grants without those that others include, and one for all methods of a host; sorted."""
    classes: dict[str, set[str]] = {}
    for text in texts:
        effect, _, resource = text.partition("=")
        classes.setdefault(effect, set()).add(resource)
    merged = {
        effect: _directories(some)
        if effect in PATH_EFFECTS
        else _hosts(some)
        if effect == "net"
        else _secrets(some)
        if effect == "secret"
        else some
        for effect, some in classes.items()
    }
    return sorted(f"{effect}={resource}" for effect, some in merged.items() for resource in some)


def _directories(paths: set[str]) -> set[str]:
    def is_inside(path: str) -> bool:
        while path != "/":
            path = posixpath.dirname(path)
            if path in paths:
                return True
        return False

    return {path for path in paths if not is_inside(path)}


def _hosts(resources: set[str]) -> set[str]:
    methods: dict[str, set[str]] = {}
    for resource in resources:
        host, _, method = resource.partition("/")
        methods.setdefault(host, set()).update([method] if method else [])
        if not method:
            methods[host].add("")
    return {host if "" in some else f"{host}/{','.join(sorted(some))}" for host, some in methods.items()}


def _secrets(resources: set[str]) -> set[str]:
    """A reference to a secret shows nothing; where it goes is what counts, if that is known."""
    bound = {resource.partition("@")[0] for resource in resources if not resource.endswith("@<HOST>")}
    return {each for each in resources if not (each.endswith("@<HOST>") and each.partition("@")[0] in bound)}
