"""An engine in a process of its own, run by ``test_process.py``: starts a flow and prints the pids of its workers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from flowmetal.settings import Limits
from flowmetal.testing.harness import in_loop, make_lab


def main() -> None:
    lab = make_lab(Path(sys.argv[1]), limits=Limits(fuel_ticks=10**15))

    async def life() -> None:
        with lab.engine() as engine:
            await lab.start(engine, Path(sys.argv[2]))
            await asyncio.sleep(0.2)
            print(*engine.worker_pids(), flush=True)
            await engine.outcome("r")

    in_loop(life)


if __name__ == "__main__":
    main()
