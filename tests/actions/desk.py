"""Effects on real files, through the same steps as the engine: bind, want, decide, perform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from flowmetal.actions import STANDARD, EffectContext, EffectFailure
from flowmetal.permissions import Denied, GrantSet, decide_all, parse_grants
from flowmetal.values import Failure, Wire

KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Desk:
    """A directory to work in, with grants; calling it performs an effect."""

    base: Path
    grants: GrantSet
    protected: tuple[str, ...] = ()
    key: str = KEY

    def __call__(self, name: str, *args: Wire, **kwargs: Wire) -> Wire:
        """The effect's value.

        Raises:
            EffectFailure: also when the gate refuses.
        """
        effect, bound = STANDARD.bind(name, args, kwargs)
        context = EffectContext(self.key, str(self.base), name)
        allowed = decide_all(self.grants, effect.want(bound, context), protected=self.protected)
        if isinstance(allowed, Denied):
            raise EffectFailure(allowed.message, kind="denied", details={"option": allowed.option})
        return effect.perform(allowed, bound, context)

    def failure(self, name: str, *args: Wire, **kwargs: Wire) -> Failure:
        """The failure that the effect must end in."""
        with pytest.raises(EffectFailure) as caught:
            self(name, *args, **kwargs)
        failure = caught.value.to_failure()
        failure.message.encode("utf-8")
        assert failure.message.isprintable()
        return failure

    def granted(self, *allow: str, deny: tuple[str, ...] = (), protected: tuple[str, ...] = ()) -> Desk:
        """The same desk under other grants."""
        return replace(self, grants=parse_grants(allow, deny, str(self.base)), protected=protected)
