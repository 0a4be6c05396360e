"""How much memory a process holds, where the system itself does not keep to a limit.

Linux keeps ``RLIMIT_AS``; macOS takes the number and does nothing with it, so there the engine looks now and then.
Between two looks a worker may take more than it should.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

LOOK_SECONDS: Final = 0.05

MEMORY_OF: Callable[[int], int] | None = None
"""How the engine learns what the process of a pid holds, in bytes; None where it need not."""

if sys.platform == "darwin":
    import psutil

    def resident_bytes(pid: int) -> int:
        """Memory that a process holds; 0 when it is no more."""
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0

    MEMORY_OF = resident_bytes
