"""``options(f, idempotency_key = …)``: of all that ask with one key in a home, one does it, and the others get its
Result.

Who is first is decided by the journal's write transaction, the same in which the action that asks is written, so two
engines cannot both be.  The first *holds* the key (``flowmetal/journal/once.py``) and writes its Result there in the
transaction of its own ``result``.  The others look there, whenever something was committed, until there is one.

An Err is a Result too.  It is done anew only where all that was Err is: by a new attempt at the flow that did it, or by
a rerun of the run.  A refusal of the gate does not count, for nothing was done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from flowmetal.engine.claims import endless, is_gone, put_err, shown, steps
from flowmetal.engine.ledger import Ledger
from flowmetal.engine.parallel import Parallel
from flowmetal.engine.table import HotRun, OpenAction
from flowmetal.journal import blobs, once
from flowmetal.journal.headers import read_header
from flowmetal.journal.keys import root_of
from flowmetal.journal.once import Claim
from flowmetal.journal.store import Update
from flowmetal.values import Failure, Wire, err, failure_of, is_ok_packed, pack, unpack

_T = TypeVar("_T")
_NOTHING_DONE: Final = frozenset({"denied"})


@dataclass(slots=True)
class _Asked:
    """Who asks, and what the last transaction decided."""

    claim: Claim
    name: str
    line: str
    rerun_of: str
    decision: Literal["", "mine", "wait", "given", "refused"] = ""
    value: bytes = b""


class Once:
    """The keys that this engine's runs hold, and who waits for others.

    Args:
        ledger: where claims are written.
        deliver: gives a run the encoded Result of an action.
        begin: called when an action has got its key: it may start now.
        parallel: what waits for a key takes no place.
    """

    def __init__(
        self,
        ledger: Ledger,
        deliver: Callable[[str, int, bytes], None],
        begin: Callable[[str, int], None],
        parallel: Parallel,
    ) -> None:
        self._ledger = ledger
        self._parallel = parallel
        self._deliver = deliver
        self._begin = begin
        self._held: dict[str, dict[int, Claim]] = {}
        self._asked: dict[str, dict[int, _Asked]] = {}
        # Those of them that wait for a Result, by their key.
        self._waiting: dict[str, dict[tuple[str, int], _Asked]] = {}

    def take_up(self, root_id: str) -> None:
        """Learns which keys the tree of a root holds that is taken up."""
        with self._ledger.journal.store.view() as view:
            for claim in once.held_by(view, root_id):
                self._held.setdefault(claim.run_id, {})[claim.number] = claim

    def may_start(self, run: HotRun, action: OpenAction, key: str, what: str, call: list[Wire]) -> bool:
        """Whether an action holds its key; if not, ``begin`` follows when it does, or its Result when there is one."""
        run_id, number = run.run_id, action.number
        if number in self._held.get(run_id, ()):
            return True
        if number not in self._asked.get(run_id, ()):
            digest = hashlib.sha256(what.encode() + b"\0" + pack(call)).digest()
            asked = _Asked(Claim(key, what, digest, run_id, number), action.name, action.line, run.root.header.rerun_of)
            self._asked.setdefault(run_id, {})[number] = asked
            self._ask(asked)
        return False

    def withdraw(self, run_id: str, number: int) -> bool:
        """Forgets an action that waits for a key; False if it does not."""
        asked = _take(self._asked, run_id, number)
        if asked is None:
            return False
        waiting = self._waiting.get(asked.claim.key, {})
        if waiting.pop(asked.claim.place, None) is not None and not waiting:
            del self._waiting[asked.claim.key]
        if asked.decision == "mine":
            # It has its key already, and has not been told.
            self._held.setdefault(run_id, {})[number] = asked.claim
            self.let_go(run_id, number)
        return True

    def settle(self, run_id: str, number: int, value: bytes) -> None:
        """Writes the Result of the action that holds a key, in the transaction that this is told in."""
        claim = _take(self._held, run_id, number)
        if claim is None:
            return
        if not is_ok_packed(value) and failure_of(unpack(value)).kind in _NOTHING_DONE:
            self._ledger.writer.decide(lambda update: once.remove_claim(update, claim))
        else:
            done = replace(claim, value=self._ledger.field(run_id, value))
            put = once.put_claim if is_ok_packed(value) else put_err
            self._ledger.writer.decide(lambda update: put(update, done))
        self._look_soon(claim.key)

    def let_go(self, run_id: str, number: int) -> None:
        """What was to be done by the action that holds a key never began: the key is free again."""
        claim = _take(self._held, run_id, number)
        if claim is not None:
            self._ledger.writer.decide(lambda update: once.remove_claim(update, claim))
            self._look_soon(claim.key)

    def give_back(self, run_id: str) -> None:
        """A run will start nothing more: what holds a key and waits for a place never begins."""
        for number in list(self._held.get(run_id, ())):
            if self._parallel.is_kept_waiting(run_id, number):
                self.let_go(run_id, number)

    def _look_soon(self, key: str) -> None:
        if key in self._waiting:
            self._ledger.when_durable(lambda: self._look_at([key]))

    def end(self, run_id: str) -> None:
        """A run, or an attempt at it, ends: what it holds and has no Result yet will have none."""
        for number in list(self._asked.get(run_id, ())):
            self.withdraw(run_id, number)
        self.give_back(run_id)
        for number in list(self._held.get(run_id, ())):
            key = self._held[run_id][number].key
            message = f"the run {run_id}, which held the key {key!r}, was ended before there was a result"
            self.settle(run_id, number, pack(err(Failure("cancelled", message, {"dict": ["may_have_run", True]}))))

    def forget_tree(self, root_id: str) -> None:
        """Drops what is in memory of a root and all below it."""
        for run_id in [each for each in self._asked if root_of(each) == root_id]:
            for number in list(self._asked[run_id]):
                self.withdraw(run_id, number)
        for run_id in [each for each in self._held if root_of(each) == root_id]:
            del self._held[run_id]

    def look(self) -> None:
        """Something was written: whoever waits may have its Result now."""
        if self._waiting:
            self._ledger.when_durable(lambda: self._look_at(list(self._waiting)))

    # -- deciding --------------------------------------------------------------------------------------

    def _look_at(self, keys: list[str]) -> None:
        with self._ledger.journal.store.view() as view:
            found = {key: once.read_claim(view, key) for key in keys}
            news = [key for key, each in found.items() if each is None or each.value is not None or is_gone(view, each)]
        for key in news:
            for asked in self._waiting.pop(key, {}).values():
                self._ask(asked)

    def _ask(self, asked: _Asked) -> None:
        asked.decision = ""
        self._ledger.writer.decide(lambda update: self._decide(update, asked))
        self._ledger.when_durable(lambda: self._decided(asked))

    def _is_wanted(self, asked: _Asked) -> bool:
        return self._asked.get(asked.claim.run_id, {}).get(asked.claim.number) is asked

    def _decide(self, update: Update, asked: _Asked) -> None:
        """Within the transaction: takes the key if it is free, else notes what is to be done."""
        if not self._is_wanted(asked):
            return
        mine = asked.claim
        found = once.read_claim(update, mine.key)
        if found is None or is_gone(update, found) or self._is_done_anew(update, found, asked):
            once.put_claim(update, mine)
            asked.decision = "mine"
        elif (found.what, found.digest) != (mine.what, mine.digest):
            other = "arguments" if found.what == mine.what else "callee"
            asked.decision = "refused"
            asked.value = _failure(
                asked, f"the key {mine.key!r} is that of {shown(found)}; this is {shown(mine)}, with other {other}"
            )
        elif found.place == mine.place:
            asked.decision = "mine"
        elif found.value is not None:
            asked.decision = "given"
            asked.value = blobs.load(update, root_of(found.run_id), found.value)
        else:
            refusal = endless(update, found, mine)
            asked.decision = "refused" if refusal else "wait"
            asked.value = _failure(asked, refusal) if refusal else b""
            if not refusal:
                self._waiting.setdefault(mine.key, {})[mine.place] = asked

    def _is_done_anew(self, update: Update, found: Claim, asked: _Asked) -> bool:
        if found.value is None or found.place == asked.claim.place:
            return False
        if is_ok_packed(blobs.load(update, root_of(found.run_id), found.value)):
            return False
        if asked.rerun_of and root_of(found.run_id) == asked.rerun_of:
            return True
        theirs, mine = steps(found), steps(asked.claim)
        common = next((at for at, pair in enumerate(zip(theirs, mine, strict=False)) if pair[0] != pair[1]), 0)
        if common == 0:
            return False
        header = read_header(update, ".".join(mine[:common]))
        # An action of an attempt, or of a life, before the present one.
        return header is not None and int(theirs[common]) <= header.attempt_base

    def _decided(self, asked: _Asked) -> None:
        if not self._is_wanted(asked) or not asked.decision:
            return
        run_id, number = asked.claim.place
        if asked.decision == "wait":
            self._parallel.rest(run_id, number)
        elif asked.decision == "mine":
            _take(self._asked, run_id, number)
            self._held.setdefault(run_id, {})[number] = asked.claim
            self._parallel.rouse(run_id, number, lambda: self._begin(run_id, number), stays=True)
        else:
            self._parallel.rouse(run_id, number, lambda: self._give(asked))

    def _give(self, asked: _Asked) -> None:
        if self._is_wanted(asked):
            _take(self._asked, *asked.claim.place)
            self._deliver(*asked.claim.place, asked.value)


def _take(table: dict[str, dict[int, _T]], run_id: str, number: int) -> _T | None:
    found = table.get(run_id)
    taken = None if found is None else found.pop(number, None)
    if found is not None and not found:
        del table[run_id]
    return taken


def _failure(asked: _Asked, message: str) -> bytes:
    return pack(err(Failure("failed", message, flow=asked.name, source=asked.line)))
