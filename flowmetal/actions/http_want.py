"""What an HTTP effect is about to do, read from its arguments."""

from __future__ import annotations

from typing import Final

from flowmetal.actions.beneath import want_path
from flowmetal.actions.effect import Arguments, EffectContext, EffectFailure
from flowmetal.actions.http_request import SECRET_PLACES, make_call, method_of, url_of
from flowmetal.actions.secrets import want_secrets
from flowmetal.errors import UsageError
from flowmetal.permissions.hosts import net_resource, parse_target
from flowmetal.permissions.wants import Want
from flowmetal.values import Wire

_SHORT: Final = ("headers", "query")
"""What is checked here already; a body may be long, and is read once."""


def want(method: str, args: Arguments, context: EffectContext) -> list[Want]:
    """The host, then the file, then the secrets; ``method`` is that of the effect, "" when it is an argument.

    Raises:
        EffectFailure: of kind ``error``: a URL, method or path that is none.
    """
    try:
        url = url_of(args)
        resource = net_resource(url.host, url.port, method_of(args, method))
        target = parse_target(resource)
        # Whoever is asked for a grant, or plans, is to know first that the call is right.
        make_call(method_of(args, method), args, {name: _stand_in(args.get(name)) for name in _SHORT}, "", False)
    except (EffectFailure, UsageError) as error:
        raise EffectFailure(f"{context.action_name}: {error.message}", kind="error") from None
    if (target.name, target.port) != (url.host, url.port):  # two readers of one text: never to be settled by either
        raise EffectFailure(f"{context.action_name}: the host of the URL can be read in two ways", kind="error")
    wants = [Want("net", resource, context.action_name)]
    if args["save_to"] is not None:
        wants += want_path("write", {"path": args["save_to"]}, context)
    return wants + want_secrets([args.get(name) for name in SECRET_PLACES], url.place, context)


def _stand_in(wire: Wire) -> Wire:
    """The same with some text in the place of each secret."""
    if isinstance(wire, list):
        return [_stand_in(item) for item in wire]
    if isinstance(wire, dict) and "secret" in wire:
        return "secret"
    return {"dict": _stand_in(wire["dict"])} if isinstance(wire, dict) and "dict" in wire else wire
