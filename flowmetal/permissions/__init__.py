"""Grants and decisions, as data.

A *grant* is what the operator allows; a *want* is what an effect is about to do; ``decide`` turns the second
into an ``Allowed`` or a ``Denied`` by looking at the first.  Nothing here touches the world: what must be known of it,
how a directory's name is made canonical and where a program is, is handed in.

What a decision says about a path or a host is about its *text*.  That the file really opened is the one decided on,
whatever links are in its way, is the other half, and lies in ``actions/beneath.py``; that the address connected to is
one that the name may have is asked of ``address_allowed``.
"""

from flowmetal.permissions.addresses import address_allowed
from flowmetal.permissions.decision import Allowed, Decision, Denied, Want, decide, decide_all
from flowmetal.permissions.environment import is_hijacking
from flowmetal.permissions.grants import Grant, GrantSet, everything, parse_grants
from flowmetal.permissions.hosts import net_resource
from flowmetal.permissions.protection import protected_name

__all__ = [
    "Allowed",
    "Decision",
    "Denied",
    "Grant",
    "GrantSet",
    "Want",
    "address_allowed",
    "decide",
    "decide_all",
    "everything",
    "is_hijacking",
    "net_resource",
    "parse_grants",
    "protected_name",
]
