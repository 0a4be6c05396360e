"""The second half of a decision about the network: the address that a name turned out to have."""

from __future__ import annotations

from flowmetal.permissions.networks import FINAL, parse_address, parse_network, refusal
from flowmetal.permissions.packages import ROOT
from flowmetal.permissions.refusal import option_of
from flowmetal.permissions.wants import Allowed, Want, target_of


def address_allowed(allowed: Allowed, address: str) -> str:
    """Why ``address`` may not be connected to for ``allowed``, or "" when it may.

    To be asked of every address that the name of the want has, and again of the peer of the connected socket.

    Raises:
        UsageError: ``address`` is none.
    """
    found = parse_address(address)
    reason = refusal(found, map(parse_network, allowed.networks), map(parse_network, allowed.denied_networks))
    if not reason:
        return ""
    target = target_of(allowed.want)
    is_final = reason.endswith(FINAL)
    if target.address is None:
        reason = f"{target.name} leads to {reason}"
    if is_final:
        return reason
    host = f"[{found}]" if found.version == 6 else str(found)
    want = Want("net", f"{host}:{target.port}", allowed.want.action_name)
    options = " ".join(option_of(want, label) for label in (ROOT, *allowed.packages))
    return f"{reason}: add {options}"
