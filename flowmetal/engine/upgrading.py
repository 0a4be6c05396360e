"""Other code for runs that are under way: each is taken over, replayed against it, moved if it fits, and given up.

To own a run is to keep every engine off it: nothing can be added to its history between the replay and the one
transaction that writes the code, the event and the headers, and in which it is free again.  Killed anywhere before,
this leaves a run whose owner is dead, as any interrupted run is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flowmetal.alarm_clock import SystemClock
from flowmetal.engine.differences import Difference
from flowmetal.engine.process import WorkerProcess
from flowmetal.engine.programs import Spawn
from flowmetal.engine.rehearsal import Rehearsal, digest_of_program
from flowmetal.engine.starting import code_of
from flowmetal.engine.supply import SourceProvider, packages_of
from flowmetal.engine.table import ProgramState
from flowmetal.errors import RunBusyError
from flowmetal.journal.code_change import NewCode, change_code
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.journal.ownership import Ownership
from flowmetal.journal.starting import is_driven
from flowmetal.language.labels import short_name
from flowmetal.settings import Limits

Status = Literal["moved", "fits", "same", "differs", "busy", "ended"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a root run.

    ``moved``: it goes on with the new code.  ``fits``: it would, this was for show.  ``same``: it has that code.
    ``differs``: see ``differences``; it is as it was.  ``busy``: a live engine drives it.  ``ended``: it is over.
    ``compared`` counts the unfinished runs of its tree that were replayed; ``digest`` is that of the new code.
    """

    header: Header
    status: Status
    compared: int = 0
    digest: str = ""
    differences: tuple[Difference, ...] = ()


class Upgrader:
    """Moves runs of a journal to the code of a file; use it within a running loop, and ``close`` it.

    Args:
        journal: where the runs are.
        ownership: who takes them over meanwhile; None to look only, and to write nothing.
        main: the label of the file.
        sources: where its text and that of what it loads come from.
        file: its path, absolute.
        spawn: starts workers.
    """

    def __init__(
        self,
        journal: Journal,
        ownership: Ownership | None,
        main: str,
        sources: SourceProvider,
        file: str,
        spawn: Spawn = WorkerProcess,
    ) -> None:
        self._journal = journal
        self._ownership = ownership
        self._main = main
        self._file = file
        self._clock = SystemClock()
        self._rehearsal = Rehearsal(journal, main, sources, spawn)

    def close(self) -> None:
        """Ends the workers."""
        self._rehearsal.close()

    async def load(self, root_ids: Iterable[str]) -> None:
        """Loads the new code under the limits of all of these runs, so that none is moved if it cannot be.

        Raises:
            LanguageError: it cannot.
        """
        for root_id in root_ids:
            facts = self._journal.facts(root_id)
            if facts["main"] == self._main:
                await self._rehearsal.load(Limits.from_data(facts["limits"]))

    async def upgrade(self, root_id: str) -> Verdict:
        """Moves one root run with its tree, if all of it fits.

        Raises:
            LanguageError: the new code cannot be loaded.
            UnknownRunError: there is no such run.
            ConflictError: it was moved to another home.
            JournalError: a record of it is damaged; it is as it was.
        """
        journal, ownership = self._journal, self._ownership
        header = journal.require(root_id)
        if header.is_finished:
            return Verdict(header, "ended")
        if ownership is None:
            return Verdict(header, "busy") if is_driven(journal.home, header) else await self._judge(header)
        try:
            header = journal.adopt(root_id, ownership.engine_id)
        except RunBusyError:
            return Verdict(header, "busy")
        try:
            return await self._judge(header)
        finally:
            journal.release(root_id, ownership.engine_id)

    async def _judge(self, header: Header) -> Verdict:
        if header.is_finished:
            return Verdict(header, "ended")
        facts = self._journal.facts(header.run_id)
        if facts["main"] != self._main:
            return Verdict(header, "differs", differences=(self._of_another_file(header, facts["main"]),))
        program = await self._rehearsal.load(Limits.from_data(facts["limits"]))
        digest = digest_of_program(program)
        if digest == header.program:
            return Verdict(header, "same", digest=digest)
        compared, differences = await self._rehearsal.replay(header, program)
        if differences:
            return Verdict(header, "differs", compared, digest, tuple(differences))
        if self._ownership is None:
            return Verdict(header, "fits", compared, digest)
        self._move(header.run_id, self._ownership, program)
        return Verdict(self._journal.require(header.run_id), "moved", compared, digest)

    def _move(self, root_id: str, owner: Ownership, program: ProgramState) -> None:
        digests = code_of(program)
        texts = {digest: program.sources[label] for label, digest in digests.items()}
        code = NewCode(list(digests.items()), texts, program.versions, self._file, packages_of(program))
        journal = self._journal
        change_code(
            journal.store,
            root_id,
            owner.engine_id,
            owner.check,
            code,
            last_sequence=journal.tree_last_sequence(root_id),
            below=[each.run_id for each in journal.descendants(root_id) if not each.is_finished],
            now_ms=int(self._clock.now() * 1_000),
        )

    def _of_another_file(self, header: Header, main: str) -> Difference:
        return Difference(
            header.run_id,
            header.name,
            f"it runs {short_name(main)}, and the new code is {short_name(self._main)}",
            "flows are found again by the file's path below its root: give the new file the same, elsewhere if need be",
        )
