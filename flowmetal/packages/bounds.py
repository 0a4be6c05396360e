"""How much there may be of everything that comes from a registry."""

from __future__ import annotations

from typing import Final

from flowmetal.settings import KIB, MIB

MAX_INDEX_BYTES: Final = 1 * MIB
MAX_DOCUMENT_BYTES: Final = 256 * KIB
MAX_MANIFEST_BYTES: Final = 256 * KIB
MAX_LOCK_BYTES: Final = 1 * MIB
MAX_ARCHIVE_BYTES: Final = 4 * MIB
MAX_UNPACKED_BYTES: Final = 16 * MIB
MAX_RATIO: Final = 100
"""How many times its own size an archive may become."""
MAX_FILES: Final = 2_000
MAX_FLOW_BYTES: Final = 512 * KIB
MAX_GRAPH_PACKAGES: Final = 256
MAX_GRAPH_BYTES: Final = 64 * MIB
"""Of the files and indexes of all packages of one program, which are in memory together."""
MAX_GRAPH_MODULES: Final = 2_000
