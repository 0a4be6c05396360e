"""Grants and decisions, as data.

A *grant* is what the operator allows; a *want* is what an effect is about to do; ``decide`` turns the second
into an ``Allowed`` or a ``Denied`` by looking at the first.  Nothing here touches the world: the one piece of
outside knowledge, how a directory's name is made canonical, is handed in.

What a decision says about a path is about its *text*.  That the file really opened is the one decided on,
whatever links are in its way, is the other half, and lies in ``actions/beneath.py``.
"""

from flowmetal.permissions.decision import Allowed, Decision, Denied, Want, decide, decide_all
from flowmetal.permissions.grants import Grant, GrantSet, parse_grants

__all__ = [
    "Allowed",
    "Decision",
    "Denied",
    "Grant",
    "GrantSet",
    "Want",
    "decide",
    "decide_all",
    "parse_grants",
]
