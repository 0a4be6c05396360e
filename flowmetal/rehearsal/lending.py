"""One worker for many engines, one after another: to bring one up takes longer than most tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.engine.launching import Launched
from flowmetal.engine.process import WorkerProcess
from flowmetal.settings import Limits


class Lender:
    """Spawns a worker, and gives the same one again to the next engine; ``close`` ends it.

    An engine closes with ``keep_workers``.  Within one event loop.

    Args:
        spare: a worker that is coming up, to be the first.
    """

    def __init__(self, spare: Launched | None = None) -> None:
        self._spare = spare
        self._worker: WorkerProcess | None = None

    def __call__(
        self,
        limits: Limits,
        on_messages: Callable[[WorkerProcess, list[list[Any]]], None],
        on_end: Callable[[WorkerProcess, str], None],
        /,
    ) -> WorkerProcess:
        """The worker, which serves whoever asks for it now."""
        worker = self._worker
        if worker is None or not worker.is_alive or worker.limits != limits:
            self.close()
            spare, self._spare = self._spare, None
            launched = spare if spare is not None and spare.limits == limits else None
            worker = self._worker = WorkerProcess(limits, on_messages, on_end, launched)
        else:
            worker.serve(on_messages, on_end)
        return worker

    def close(self) -> None:
        """Ends the worker."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None
