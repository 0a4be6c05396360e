"""What is imported late: all that fetches packages, at the moment when a program first loads one.

A program without packages does not pay for them when it starts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowmetal.package_graph import Graph, Request

if TYPE_CHECKING:
    from flowmetal.packages.loading import Loading
    from flowmetal.packages.meter import Meter
    from flowmetal.packages.origins import Fetch


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are on this machine.

    ``cache`` and ``first_use`` are directories, ``operator`` is the operator's own file with ``[[registry]]``, which
    need not be there.
    """

    cache: Path
    first_use: Path
    operator: Path


@dataclass(frozen=True, slots=True)
class Conduct:
    """How packages may be had: see ``--frozen``, ``--offline`` and ``pkg update``."""

    frozen: bool = False
    offline: bool = False
    accept: Collection[str] = ()
    anew: bool = False


@dataclass(slots=True)
class PackagesOnDemand:
    """The packages of the program whose main file is ``file``, in the project of ``root``.

    ``carried`` are the packages that come with Flowmetal; ``notices`` are what is to be said when it is loaded.
    """

    file: Path
    root: Path
    places: Places
    conduct: Conduct
    carried: Collection[str]
    meter: Meter | None = None
    notices: list[str] = field(default_factory=list)

    async def resolve(self, requests: Sequence[Request]) -> Graph:
        """The packages that the program needs; see ``Loading``.

        Raises:
            FlowmetalError: one cannot be had.
        """
        loading = self.loading()
        try:
            return await loading.resolve(requests)
        finally:
            self.notices += loading.notices

    def loading(self) -> Loading:
        """What resolves them, with the manifests as they are now.

        Raises:
            UsageError: a manifest or the operator's file is none.
        """
        from flowmetal.packages.opening import open_loading

        return open_loading(self.file, self.root, self.places, self.conduct, self.carried, self.meter)


def make_fetch() -> Fetch:
    """What fetches by HTTP; made on the loop that it is used on."""
    from flowmetal.packages.fetching import HttpFetch

    return HttpFetch()
