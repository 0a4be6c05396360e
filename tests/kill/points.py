"""Undisturbed runs, runs with deaths in them, and the comparison of both."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from flowmetal.alarm_clock import SystemClock
from flowmetal.journal.journal import Journal
from flowmetal.journal.wrapped_store import Moment
from flowmetal.testing.harness import open_store
from flowmetal.testing.zygote import Death, Life, Zygote, zygote
from flowmetal.values import unpack

SHAPES = sorted((Path(__file__).parent / "shapes").glob("*.flow"))
SEED = int(os.environ.get("FLOWMETAL_SEED", "1"))
AT_ONCE = max(2, os.cpu_count() or 2)
LIVES = 8
ALLOW = ["read=.", "write=.", "state=*", "signal=*"]


@dataclass(frozen=True, order=True)
class Point:
    """Where deaths are: engine deaths one life after another, or worker deaths within one life."""

    commits: tuple[tuple[int, Moment], ...] = ()
    frames: tuple[int, ...] = ()


@dataclass
class Undisturbed:
    """What a run gives when nobody disturbs it."""

    shape: Path
    result: str
    effects: Counter[str]
    commits: int
    frames: int


@dataclass
class Story:
    """One disturbed run, to be told when it went wrong."""

    shape: Path
    point: Point
    wrong: list[str] = field(default_factory=list)
    journal: str = ""

    def tell(self) -> str:
        """The whole of it."""
        return (
            f"{self.shape.stem} {self.point} seed {SEED}\n"
            + "\n".join(f"  {line}" for line in self.wrong)
            + "\n"
            + self.journal
        )


def effects_in(base: Path) -> Counter[str]:
    """The lines that effects have written, with how often each is there."""
    log = base / "log.txt"
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def journaled_in(home: Path) -> Counter[str]:
    """The lines whose appending has a result in the journal."""
    found: Counter[str] = Counter()
    with reading(home) as journal:
        for root in list(journal.roots()):
            for run_id in [root.run_id, *[each.run_id for each in journal.descendants(root.run_id)]]:
                asked: dict[int, str] = {}
                for _, event in journal.history(run_id):
                    fields = event.fields
                    if event.kind == "action" and fields["callee"] in ("do append", "start append"):
                        asked[fields["number"]] = unpack(fields["args"])[0][1].strip()
                    elif event.kind == "result" and fields["number"] in asked and not fields.get("late"):
                        found[asked.pop(fields["number"])] += 1
    return found


@contextmanager
def reading(home: Path) -> Iterator[Journal]:
    """The journal of a home between two lives."""
    store = open_store(home)
    try:
        yield Journal(store, home, SystemClock())
    finally:
        store.close()


def told(home: Path) -> str:
    """All events of a home, a line each."""
    lines = []
    with reading(home) as journal:
        lines += [f"  problem: {problem}" for problem in journal.verify()]
        for root in list(journal.roots()):
            for header in [root, *journal.descendants(root.run_id)]:
                lines.append(f"  {header.run_id} {header.name} {header.status} deaths={header.deaths}")
                for sequence, event in journal.history(header.run_id):
                    shown = {
                        k: v for k, v in event.fields.items() if k not in ("program", "limits", "versions", "grants")
                    }
                    lines.append(f"    {sequence} {event.kind} {shown}")
    return "\n".join(lines)


class Bench:
    """Lives lived on several zygotes at once."""

    def __init__(self, directory: Path, zygotes: list[Zygote], folders: Sequence[str] = ()) -> None:
        self._directory = directory
        self._folders = folders
        self._free: SimpleQueue[Zygote] = SimpleQueue()
        for each in zygotes:
            self._free.put(each)
        self._pool = ThreadPoolExecutor(len(zygotes))
        self._homes = 0

    def live(self, life: Life) -> Death:
        process = self._free.get()
        try:
            return process.live(life)
        finally:
            self._free.put(process)

    def place(self, name: str) -> tuple[Path, Path]:
        """A new home and base directory."""
        self._homes += 1
        home = self._directory / f"{name}-{self._homes}" / "home"
        base = home.parent / "base"
        home.mkdir(parents=True)
        base.mkdir()
        for folder in self._folders:
            (base / folder).mkdir()
        return home, base

    def all(self, work: Callable[[Point], Story], points: list[Point]) -> list[Story]:
        """The stories of all points that went wrong."""
        return [story for story in self._pool.map(work, points) if story.wrong]

    def close(self) -> None:
        self._pool.shutdown()


@contextmanager
def bench(directory: Path, folders: Sequence[str] = ()) -> Iterator[Bench]:
    """A bench on as many zygotes as there are processors; every base directory has the ``folders``."""
    with ExitStack() as stack:
        made = Bench(directory, [stack.enter_context(zygote()) for _ in range(AT_ONCE)], folders)
        stack.callback(made.close)
        yield made


def undisturbed(on: Bench, shape: Path) -> Undisturbed:
    """One run without a death."""
    home, base = on.place(shape.stem)
    death = on.live(Life(str(home), str(base), str(shape), allow=ALLOW))
    assert death.signal == 0, death
    assert death.result, death.error
    return Undisturbed(shape, death.result, effects_in(base), death.commits, death.frames)


def disturbed(
    on: Bench,
    calm: Undisturbed,
    point: Point,
    *,
    limits: Mapping[str, Any] | None = None,
    between: Callable[[Journal], None] | None = None,
) -> Story:
    """One run with deaths, carried to its end and compared; ``between`` is done between two lives."""
    story = Story(calm.shape, point)
    home, base = on.place(calm.shape.stem)
    deaths = 0
    settled: Counter[str] = Counter()
    death = Death(0)
    for at in range(LIVES):
        commit, moment = point.commits[at] if at < len(point.commits) else (0, "before")
        frames = list(point.frames) if at == 0 else []
        death = on.live(
            Life(
                str(home),
                str(base),
                str(calm.shape),
                fatal_commit=commit,
                moment=moment,
                fatal_frames=frames,
                limits=dict(limits or {}),
                allow=ALLOW,
            )
        )
        done = journaled_in(home)
        seen = effects_in(base)
        for line in settled:
            if seen[line] != settled[line]:
                story.wrong.append(f"the effect {line!r} was done again although its result was journaled")
        settled = Counter({line: seen[line] for line in done})
        if not death.signal and at >= len(point.commits) - 1:
            break
        deaths += 1 if death.signal else 0
        if between is not None:
            with reading(home) as journal:
                between(journal)
        for line, count in seen.items():
            if count > deaths + (not death.signal):
                story.wrong.append(f"the effect {line!r} was done {count} times after {deaths} deaths")
    if death.error:
        story.wrong.append(f"the run was stopped: {death.error}")
    elif death.result != calm.result:
        story.wrong.append(f"result {shown(death.result)}, undisturbed {shown(calm.result)}")
    found = effects_in(base)
    if found.keys() != calm.effects.keys():
        story.wrong.append(f"effects {dict(found)}, undisturbed {dict(calm.effects)}")
    most = 1 + deaths
    if any(count > most for count in found.values()) or sum(found.values()) > len(found) * most:
        story.wrong.append(f"after {deaths} deaths of the engine: {dict(found)}")
    with reading(home) as journal:
        story.wrong += [f"the journal: {problem}" for problem in journal.verify()]
    if story.wrong:
        story.journal = told(home)
    return story


def shown(result: str) -> str:
    return json.dumps(unpack(bytes.fromhex(result)), default=str) if result else "none"


def engine_points(calm: Undisturbed) -> list[Point]:
    """Before and after each commit; a few beyond, for a resumed run may need more."""
    return [Point(commits=((k, moment),)) for k in range(1, calm.commits + 1) for moment in ("before", "after")]  # type: ignore[arg-type]


def worker_points(calm: Undisturbed) -> list[Point]:
    """At each message."""
    return [Point(frames=(k,)) for k in range(1, calm.frames + 1)]


def sample(points: list[Point], count: int, name: str) -> list[Point]:
    """So many of the points, chosen by the seed."""
    chooser = random.Random(f"{SEED} {name}")
    return sorted(chooser.sample(points, min(count, len(points))))
