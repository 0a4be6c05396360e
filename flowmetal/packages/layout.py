"""Where things are below the address of a package: the same for a web site, a mirror, a vendor directory and a disk.

    <base>/flowmetal/index.json          changes
    <base>/flowmetal/v/1.4.2.json        never changes, as everything below
    <base>/flowmetal/a/<sha256>.tar.gz

In a directory that holds many packages, the base of one is its id; a port in it is written ``host_port``.
"""

from __future__ import annotations

from typing import Final

from flowmetal.packages.versions import Version

INDEX: Final = "flowmetal/index.json"


def document_path(version: Version) -> str:
    """Where the document of a version is."""
    return f"flowmetal/v/{version}.json"


def archive_path(sha256: str) -> str:
    """Where an archive is, by the SHA-256 of its bytes in hexadecimal digits."""
    return f"flowmetal/a/{sha256}.tar.gz"


def base_path(package: str) -> str:
    """The base of a package in a directory of many: a host has no ``_``, so no two are one."""
    host, _, rest = package.partition("/")
    return f"{host.replace(':', '_')}/{rest}"
