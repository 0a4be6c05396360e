"""Secrets in effects: the reference that a flow holds, and its text, put in at the last moment.

A flow holds ``{"secret": [name, fingerprint]}`` and nothing else.  An effect that takes secrets names them among its
wants, each with the destination that would see it; only the decisions on those let ``reveal`` put the text in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, plain
from flowmetal.errors import UsageError
from flowmetal.permissions.decision import Allowed, Want
from flowmetal.values import Wire

LEAST_CHARACTERS: Final = 8
"""A shorter text would be found, and masked, in results that only happen to hold it."""


def secret_names(wire: Wire) -> list[str]:
    """The names of the secrets in wire data, each once, in the order in which they come."""
    found: dict[str, None] = {}
    pending = [wire]
    while pending:
        item = pending.pop()
        if isinstance(item, list):
            pending.extend(reversed(item))
        elif isinstance(item, dict):
            ((tag, payload),) = item.items()
            if tag == "secret":
                found[payload[0]] = None
            elif isinstance(payload, list):
                pending.append(payload)
    return list(found)


def want_secrets(wire: Wire, destination: str, context: EffectContext) -> list[Want]:
    """The wants of handing the secrets in ``wire`` to ``host:port``, ``exec:PATH`` or ``call:MODULE``."""
    return [Want("secret", f"{name}@{destination}", context.action_name) for name in secret_names(wire)]


def reveal(wire: Wire, allowed: Sequence[Allowed], context: EffectContext) -> Wire:
    """Wire data with the text of each secret in its place.

    Raises:
        EffectFailure: a secret that has no text (any more), or that none of the decisions in ``allowed`` is about.
    """
    granted = {each.want.resource.partition("@")[0] for each in allowed if each.want.effect == "secret"}
    texts: dict[str, str] = {}
    for name in secret_names(wire):
        if name not in granted:
            raise EffectFailure(f"{context.action_name}: the secret {plain(name)} cannot be used here", kind="denied")
        texts[name] = text_of(name, context)
    return _with_texts(wire, texts) if texts else wire


def text_of(name: str, context: EffectContext) -> str:
    """The text of a secret.

    Raises:
        EffectFailure: there is none, or it may not be used.
    """
    try:
        text = context.services.secrets.text(name)
    except UsageError as error:
        raise EffectFailure(f"{context.action_name}: {error.message}: {error.remedy}") from None
    if text is None:
        raise EffectFailure(
            f"{context.action_name}: there is no secret {plain(name)}: set the environment variable {plain(name)} for "
            "flowmetal, or write the text to a file of that name in the folder of secrets (`flowmetal doctor` names it)"
        )
    if len(text) < LEAST_CHARACTERS:
        raise EffectFailure(
            f"{context.action_name}: the secret {plain(name)} is shorter than {LEAST_CHARACTERS} characters, too short "
            "to be kept out of results"
        )
    return text


def fingerprint(text: str, run_key: bytes) -> str:
    """Eight hex digits that tell two texts of a secret apart within one run, and say nothing else."""
    return hmac.new(run_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:8]


def _with_texts(wire: Wire, texts: dict[str, str]) -> Wire:
    if isinstance(wire, list):
        return [_with_texts(item, texts) for item in wire]
    if isinstance(wire, dict):
        ((tag, payload),) = wire.items()
        if tag == "secret":
            return texts[payload[0]]
        return {tag: _with_texts(payload, texts)} if isinstance(payload, list) else wire
    return wire


def _want(args: Arguments, context: EffectContext) -> list[Want]:
    return [Want("secret", args["secret_name"], context.action_name)]


def _perform(_allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    name = args["secret_name"]
    return {"secret": [name, fingerprint(text_of(name, context), context.run_key)]}


SECRET: Final = Effect(
    name="secret",
    doc="A reference to a secret, whose text only the engine sees; effects that take secrets put it in.",
    parameters=(Parameter("secret_name", "str", "the secret's name: a variable of the environment, or a file"),),
    mode="inline",
    want=_want,
    perform=_perform,
    sample={"secret": ["NAME", "00000000"]},
)
