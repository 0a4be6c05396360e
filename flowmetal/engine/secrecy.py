"""Which secrets are taken out of the results of a run: all that it is granted, as they are and as they were."""

from __future__ import annotations

from flowmetal.actions.scrubbing import Scrub
from flowmetal.actions.services import Secrets
from flowmetal.engine.table import RootState
from flowmetal.errors import UsageError, ValueCodecError
from flowmetal.permissions.grants import GrantSet
from flowmetal.values import pack, unpack

_NOTHING = Scrub([])


class Secrecy:
    """Masks secrets, run by run.

    A result may hold a secret that an attempt of another engine has sent, so what counts is what a run may use, not
    what was used in this engine's time.  A text that was seen once is masked for as long as the engine lives: the
    secret may have been changed since.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._seen: dict[tuple[str, str], None] = {}
        self._made: dict[frozenset[tuple[str, str]], Scrub] = {}

    def of(self, root: RootState) -> Scrub:
        """What masks the secrets of a root run and its descendants."""
        names = secret_names(root.grants)
        if not names:
            return _NOTHING
        for name in names:
            try:
                text = self._secrets.text(name)
            except UsageError:
                continue  # who asks for it is told
            if text:
                self._seen[(name, text)] = None
        pairs = frozenset(pair for pair in self._seen if pair[0] in names)
        if pairs not in self._made:
            self._made[pairs] = Scrub(sorted(pairs))
        return self._made[pairs]

    def packed(self, root: RootState, value: bytes) -> bytes:
        """An encoded value without the secrets of a root run and its descendants."""
        scrub = self.of(root)
        if scrub is _NOTHING:
            return value
        try:
            return pack(scrub.wire(unpack(value)))
        except ValueCodecError:
            return pack("[too large with its secrets masked]")


def secret_names(grants: GrantSet) -> frozenset[str]:
    """The names of the secrets that a set of grants allows, packages' own included."""
    if not grants.allow:
        return frozenset()
    return frozenset(grant.resource.partition("@")[0] for grant in grants.allow if grant.effect == "secret")
