"""``max_parallel`` of a run: at most so many flows and effects of its whole tree are under way at once.

A flow that waits for what it has started does nothing itself, so it is counted with it: what counts are the *leaves* of
the tree of what is under way.  Therefore whatever is the only thing under way of a flow needs no further place, every
leaf can go on to its end, and no limit ever holds itself up.  The rest waits in the order in which it was asked for.

What waits for something that another part of the tree may have to do first, a message or the Result of a key, *rests*:
neither it nor the flow that waits for it counts, so that the other part has a place.  When it has come, the flow goes
on as soon as there is room, before anything new begins.

Only the order of events depends on this, so nothing of it is recorded, but that an effect began: after a kill, one that
had yet to begin leaves no doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgpack

from flowmetal.engine.gates import Gate, Place
from flowmetal.journal.headers import Header
from flowmetal.journal.keys import root_of
from flowmetal.policy import policy_items

_Roused = tuple[Callable[[], None], bool]


class Parallel:
    """The limits of all runs of an engine, and what waits for room.

    Args:
        begin: called with what has got a place: it may start now.
    """

    def __init__(self, begin: Callable[[str, int], None]) -> None:
        self._begin = begin
        self._gates: dict[str, Gate] = {}
        # Run → action → when it was asked for, in that order.
        self._waiting: dict[str, dict[int, int]] = {}
        self._asked = 0
        self._inside: set[Place] = set()
        self._resting: set[Place] = set()
        # What has what it rested for, by the innermost gate above it, and what is to be done when there is room.
        self._roused: dict[str, dict[Place, _Roused]] = {}
        self._is_pumping = False

    def limit(self, header: Header) -> None:
        """Takes note of the limit of a run, if it has one."""
        if header.policy and header.run_id not in self._gates:
            places = policy_items(msgpack.unpackb(header.policy)).get("max_parallel")
            if places is not None:
                self._gates[header.run_id] = Gate(header.run_id, places)

    def take_up(self, header: Header) -> None:
        """Learns of a run that is taken up, after those above it: what had begun has its place."""
        self.limit(header)
        if header.parent and self.is_limited(header.parent):
            self._enter((header.parent, int(header.run_id.rpartition(".")[2])))

    def is_limited(self, run_id: str) -> bool:
        """Whether what a run starts needs a place."""
        return bool(self._gates) and next(self._over(run_id), None) is not None

    def may_start(self, run_id: str, number: int) -> bool:
        """Whether an action has a place, now; if not, ``begin`` follows when it does."""
        place = (run_id, number)
        if place in self._resting:
            return False
        if place in self._inside or not self.is_limited(run_id):
            return True
        comes_first = run_id not in self._waiting and (self._is_only_one(run_id) or not self._waiting)
        if comes_first and self._has_room(run_id):
            self._enter(place)
            return True
        self._asked += 1
        self._waiting.setdefault(run_id, {}).setdefault(number, self._asked)
        self._pump()
        return False

    def is_kept_waiting(self, run_id: str, number: int) -> bool:
        """Whether an action has yet to begin, for want of a place."""
        return number in self._waiting.get(run_id, ()) or (run_id, number) in self._resting

    def withdraw(self, run_id: str) -> None:
        """A run starts nothing more."""
        self._waiting.pop(run_id, None)

    def rest(self, run_id: str, number: int) -> None:
        """An action waits for what others may have to do first: it needs no place, nor does its flow."""
        place = (run_id, number)
        if place not in self._resting and self.is_limited(run_id):
            self.leave(run_id, number)
            self._enter(place, rests=True)
            self._pump()

    def rouse(self, run_id: str, number: int, then: Callable[[], None], *, stays: bool = False) -> None:
        """What an action rested for has come: ``then`` when there is room, which is now if it does not rest.

        It is over then, unless it ``stays``.  Of several that are to be done then, the first is.
        """
        place = (run_id, number)
        if place not in self._resting:
            then()
            return
        self._roused.setdefault(next(self._over(run_id)).run_id, {}).setdefault(place, (then, stays))
        self._pump()

    def leave(self, run_id: str, number: int) -> None:
        """An action is over, or was cancelled: who waits may have its place."""
        if not self._gates:
            return
        place = (run_id, number)
        self._drop(place)
        if place in self._inside:
            self._inside.discard(place)
            self._resting.discard(place)
            for gate in self._over(run_id):
                gate.leave(run_id, number)
            self._pump()

    def end(self, run_id: str) -> None:
        """A run, or an attempt at it, ends: nothing of it is under way any more."""
        if not self._gates:
            return
        self._waiting.pop(run_id, None)
        gate = next(self._over(run_id), None)
        for number in gate.inside_of(run_id) if gate is not None else ():
            self.leave(run_id, number)

    def forget(self, run_id: str) -> None:
        """A run has ended: it limits nothing any more."""
        self.end(run_id)
        self._gates.pop(run_id, None)
        self._roused.pop(run_id, None)

    def forget_tree(self, root_id: str) -> None:
        """Drops what is in memory of a root and all below it."""
        self._inside = {each for each in self._inside if root_of(each[0]) != root_id}
        self._resting = {each for each in self._resting if root_of(each[0]) != root_id}
        tables: tuple[dict[str, Any], ...] = (self._gates, self._waiting, self._roused)
        for table in tables:
            for run_id in [each for each in table if root_of(each) == root_id]:
                del table[run_id]

    # -- places ----------------------------------------------------------------------------------------

    def _over(self, run_id: str) -> Iterator[Gate]:
        """The gates that a run's actions go through: its own and those of the runs above it."""
        while run_id:
            gate = self._gates.get(run_id)
            if gate is not None:
                yield gate
            run_id = run_id.rpartition(".")[0]

    def _has_room(self, run_id: str) -> bool:
        return all(gate.has_room(run_id) for gate in self._over(run_id))

    def _is_only_one(self, run_id: str) -> bool:
        return all(run_id != gate.run_id and not gate.inside_of(run_id) for gate in self._over(run_id))

    def _enter(self, place: Place, *, rests: bool = False) -> None:
        self._inside.add(place)
        if rests:
            self._resting.add(place)
        for gate in self._over(place[0]):
            gate.enter(*place, rests)

    def _pump(self) -> None:
        """Gives places to who waits; what begins may end at once, so this is no recursion."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self._rouse_next() or self._begin_next():
                pass
        finally:
            self._is_pumping = False

    def _rouse_next(self) -> bool:
        for gate_id, roused in list(self._roused.items()):
            place, (then, stays) = next(iter(roused.items()))
            if all(gate.has_room_again(place[0], stays) for gate in self._over(place[0])):
                self._drop_roused(gate_id, place)
                self._resting.discard(place)
                for gate in self._over(place[0]):
                    gate.rouse(*place)
                then()
                return True
        return False

    def _drop_roused(self, gate_id: str, place: Place) -> None:
        roused = self._roused.get(gate_id)
        if roused is not None:
            roused.pop(place, None)
            if not roused:
                del self._roused[gate_id]

    def _begin_next(self) -> bool:
        place = self._next()
        if place is None:
            return False
        self._drop(place)
        self._enter(place)
        self._begin(*place)
        return True

    def _next(self) -> Place | None:
        """What has waited longest of all that there is room for."""
        first = [
            (next(iter(asked.values())), run_id) for run_id, asked in self._waiting.items() if self._has_room(run_id)
        ]
        if not first:
            return None
        run_id = min(first)[1]
        return run_id, next(iter(self._waiting[run_id]))

    def _drop(self, place: Place) -> None:
        asked = self._waiting.get(place[0])
        if asked is not None:
            asked.pop(place[1], None)
            if not asked:
                del self._waiting[place[0]]
        if place in self._resting:
            for gate in self._over(place[0]):
                self._drop_roused(gate.run_id, place)
