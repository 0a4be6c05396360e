"""How much of one run's tree is under way: the leaves of what is, without those that rest; see ``parallel.py``."""

from __future__ import annotations

Place = tuple[str, int]
"""A run, and the number of the action by which it has started something."""


class Gate:
    """The places of one run's tree.

    Args:
        run_id: the run with the limit.
        places: how many.
    """

    def __init__(self, run_id: str, places: int) -> None:
        self.run_id = run_id
        self._places = places
        self._leaves = 0
        self._inside: dict[str, set[int]] = {}
        self._resting: set[Place] = set()

    def has_room(self, run_id: str) -> bool:
        """Whether one more thing that ``run_id`` asks for may be under way."""
        return self._leaves < self._places or (run_id != self.run_id and not self._inside.get(run_id))

    def has_room_again(self, run_id: str, stays: bool) -> bool:
        """Whether something of ``run_id`` may rest no more; unless it ``stays``, it is over then."""
        is_counted = stays or (run_id != self.run_id and len(self._inside.get(run_id, ())) == 1)
        return self._leaves < self._places or not is_counted

    def enter(self, run_id: str, number: int, rests: bool = False) -> None:
        """Counts what is under way from now on, or what rests."""
        inside = self._inside.setdefault(run_id, set())
        if number not in inside:
            self._leaves += 1 if inside or run_id == self.run_id else 0
            inside.add(number)
            if rests:
                self._leaves -= 1
                self._resting.add((run_id, number))

    def rouse(self, run_id: str, number: int) -> None:
        """It rests no more."""
        if (run_id, number) in self._resting:
            self._resting.discard((run_id, number))
            self._leaves += 1

    def leave(self, run_id: str, number: int) -> None:
        """Counts it no more."""
        inside = self._inside.get(run_id)
        if inside is None or number not in inside:
            return
        self.rouse(run_id, number)
        inside.discard(number)
        self._leaves -= 1 if inside or run_id == self.run_id else 0
        if not inside:
            del self._inside[run_id]

    def inside_of(self, run_id: str) -> list[int]:
        """What is under way of one run."""
        return list(self._inside.get(run_id, ()))
