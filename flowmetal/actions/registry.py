"""All effects by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from flowmetal.actions.append import APPEND
from flowmetal.actions.call import CALL
from flowmetal.actions.copy import COPY
from flowmetal.actions.digest import DIGEST
from flowmetal.actions.effect import TYPES, Effect, EffectFailure
from flowmetal.actions.env import ENV
from flowmetal.actions.exec import EXEC
from flowmetal.actions.glob import GLOB
from flowmetal.actions.http import HTTP
from flowmetal.actions.input import INPUT
from flowmetal.actions.list_dir import LIST_DIR
from flowmetal.actions.make_dir import MAKE_DIR
from flowmetal.actions.read import READ
from flowmetal.actions.read_csv import READ_CSV
from flowmetal.actions.read_json import READ_JSON
from flowmetal.actions.remove import REMOVE
from flowmetal.actions.secrets import SECRET
from flowmetal.actions.stat import STAT
from flowmetal.actions.write import WRITE
from flowmetal.actions.write_csv import WRITE_CSV
from flowmetal.actions.write_json import WRITE_JSON
from flowmetal.errors import did_you_mean
from flowmetal.policy import SETTINGS
from flowmetal.values import Wire


class Registry(Mapping[str, Effect]):
    """Effects by name, sorted and fixed.

    Raises:
        ValueError: two effects of one name, or an effect that is declared wrongly.
    """

    def __init__(self, effects: Iterable[Effect]) -> None:
        self._effects: dict[str, Effect] = {}
        for effect in sorted(effects, key=lambda effect: effect.name):
            if effect.name in self._effects:
                raise ValueError(f"two effects have the name {effect.name!r}")
            for parameter in effect.parameters:
                if parameter.name in SETTINGS:
                    raise ValueError(f"{effect.name}: {parameter.name!r} is the name of a policy")
                if parameter.type not in TYPES:
                    raise ValueError(f"{effect.name}: there is no type {parameter.type!r}")
            self._effects[effect.name] = effect

    def __getitem__(self, name: str) -> Effect:
        return self._effects[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._effects)

    def __len__(self) -> int:
        return len(self._effects)

    def find(self, name: str) -> Effect:
        """The effect of that name.

        Raises:
            EffectFailure: of kind ``error`` with the nearest name.
        """
        effect = self._effects.get(name)
        if effect is None:
            raise EffectFailure(f"there is no effect `{name}`{did_you_mean(name, self._effects)}", kind="error")
        return effect

    def bind(
        self, name: str, args: Sequence[Wire] = (), kwargs: Mapping[str, Wire] | None = None
    ) -> tuple[Effect, dict[str, Wire]]:
        """The effect of that name and the arguments of a call of it by parameter name.

        Raises:
            EffectFailure: of kind ``error``: no such effect, or not its arguments.
        """
        effect = self.find(name)
        return effect, effect.bind(args, kwargs)


STANDARD: Final = Registry(
    [
        APPEND,
        CALL,
        COPY,
        DIGEST,
        ENV,
        EXEC,
        GLOB,
        *HTTP,
        INPUT,
        LIST_DIR,
        MAKE_DIR,
        READ,
        READ_CSV,
        READ_JSON,
        REMOVE,
        SECRET,
        STAT,
        WRITE,
        WRITE_CSV,
        WRITE_JSON,
    ]
)
"""The effects that come with Flowmetal."""
