"""What is imported late: libraries that take long to load, at the moment when a flow first needs them.

Beside the commands and ``actions/late.py``, no other module imports inside functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowmetal.net.client import Client


def make_client() -> Client:
    """The client that all requests of an engine share; made on the engine's loop."""
    from flowmetal.net.client import Client

    return Client()


def ascii_name(name: str) -> str:
    """A host name with foreign letters as it travels, each such label as ``xn--…``.

    Raises:
        ValueError: it is no host name.
    """
    import idna

    return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
