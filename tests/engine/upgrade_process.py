"""An upgrade in a process of its own, which dies at a commit: HOME COMMIT MOMENT."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Literal, cast

from flowmetal.alarm_clock import SystemClock
from flowmetal.engine.upgrading import Upgrader
from flowmetal.journal import ownership
from flowmetal.journal.journal import Journal
from flowmetal.testing.crashing import crashing_store
from flowmetal.testing.harness import open_store, sources_of

OLD = """
def _nap(fctx, seconds):
    fctx.actions.sleep(seconds)
    return "old"

nap = flow(_nap)

def _main(fctx, name):
    unwrap(fctx.actions.append("log.txt", "begun\\n"))
    tasks = [fctx.actions.run(nap, seconds) for seconds in (0.3, 0.4)]
    return [unwrap(each) for each in fctx.actions.wait(tasks)]

main = flow(_main)
"""
NEW = "# mended\n" + OLD.replace('"old"', '"new"')


async def upgrade(home: Path, commit: int, moment: Literal["before", "after"]) -> None:
    journal = Journal(crashing_store(open_store(home), commit, moment), home, SystemClock())
    main, sources = sources_of(NEW)
    await Upgrader(journal, ownership.acquire(home), main, sources, "").upgrade("r")


if __name__ == "__main__":
    asyncio.run(upgrade(Path(sys.argv[1]), int(sys.argv[2]), cast(Literal["before", "after"], sys.argv[3])))
