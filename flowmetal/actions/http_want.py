"""What an HTTP effect is about to do, read from its arguments."""

from __future__ import annotations

from flowmetal.actions.beneath import want_path
from flowmetal.actions.effect import Arguments, EffectContext, EffectFailure
from flowmetal.actions.http_request import SECRET_PLACES, method_of, url_of
from flowmetal.actions.secrets import want_secrets
from flowmetal.errors import UsageError
from flowmetal.permissions.hosts import net_resource, parse_target
from flowmetal.permissions.wants import Want


def want(method: str, args: Arguments, context: EffectContext) -> list[Want]:
    """The host, then the file, then the secrets; ``method`` is that of the effect, "" when it is an argument.

    Raises:
        EffectFailure: of kind ``error``: a URL, method or path that is none.
    """
    try:
        url = url_of(args)
        resource = net_resource(url.host, url.port, method_of(args, method))
        target = parse_target(resource)
    except (EffectFailure, UsageError) as error:
        raise EffectFailure(f"{context.action_name}: {error.message}", kind="error") from None
    if (target.name, target.port) != (url.host, url.port):  # two readers of one text: never to be settled by either
        raise EffectFailure(f"{context.action_name}: the host of the URL can be read in two ways", kind="error")
    wants = [Want("net", resource, context.action_name)]
    if args["save_to"] is not None:
        wants += want_path("write", {"path": args["save_to"]}, context)
    return wants + want_secrets([args.get(name) for name in SECRET_PLACES], url.place, context)
