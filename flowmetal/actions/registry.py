"""All effects by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from flowmetal.actions.effect import TYPES, Effect, EffectFailure
from flowmetal.actions.late import load_effects
from flowmetal.errors import did_you_mean
from flowmetal.policy import SETTINGS
from flowmetal.values import Wire


class Registry(Mapping[str, Effect]):
    """Effects by name, sorted and fixed.

    Args:
        effects: those that are at hand.
        late: the modules of this package that hold others, by name: imported when one is asked for.

    Raises:
        ValueError: two effects of one name, or an effect that is declared wrongly.
    """

    def __init__(self, effects: Iterable[Effect] = (), late: Mapping[str, str] | None = None) -> None:
        self._effects: dict[str, Effect] = {}
        self._late = dict(late or {})
        for effect in effects:
            if effect.name in self._effects or effect.name in self._late:
                raise ValueError(f"two effects have the name {effect.name!r}")
            self._effects[effect.name] = _checked(effect)
        self._names = sorted([*self._effects, *self._late])

    def __getitem__(self, name: str) -> Effect:
        if name not in self._effects:
            for effect in load_effects(self._late[name]):
                self._effects[effect.name] = _checked(effect)
        return self._effects[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def find(self, name: str) -> Effect:
        """The effect of that name.

        Raises:
            EffectFailure: of kind ``error`` with the nearest name.
        """
        effect = self._effects.get(name)
        if effect is None:
            if name not in self._late:
                raise EffectFailure(f"there is no effect `{name}`{did_you_mean(name, self._names)}", kind="error")
            effect = self[name]
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


def _checked(effect: Effect) -> Effect:
    for parameter in effect.parameters:
        if parameter.name in SETTINGS:
            raise ValueError(f"{effect.name}: {parameter.name!r} is the name of a policy")
        if parameter.type not in TYPES:
            raise ValueError(f"{effect.name}: there is no type {parameter.type!r}")
    return effect


_ONE_A_MODULE: Final = (
    "append",
    "call",
    "copy",
    "digest",
    "env",
    "exec",
    "glob",
    "input",
    "list_dir",
    "make_dir",
    "read",
    "read_csv",
    "read_json",
    "remove",
    "stat",
    "write",
    "write_csv",
    "write_json",
)
_HTTP: Final = ("delete", "get", "patch", "post", "put", "request")

STANDARD: Final = Registry(
    late={name: name for name in _ONE_A_MODULE}
    | {f"http.{name}": "http" for name in _HTTP}
    | {"secret": "secrets"}
    | {"receive": "messaging", "signal": "messaging", "state.get": "state", "state.set": "state"}
)
"""The effects that come with Flowmetal.  No run uses all of them, and importing them takes longer than a short run."""
