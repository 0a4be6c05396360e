"""Random job graphs, as text of the language and as what a plain reading of the rules makes of them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

TRIGGERS = ("all_success", "one_success", "none_failed", "always")
FAILED = {"err", "timeout", "cancelled"}
ENDS = {"ok": "ok", "late": "ok", "fail": "err", "wrong": "err", "never": "timeout", "given up": "cancelled"}
"""What a job does, and the status it then has."""
SLOW = ("ok", "late", "fail", "wrong")
"""What legs do of which the first to fail ends the others: whichever that is, the job's status is the same."""

PROGRAM = """
load("pkg.flowmetal.io/v1/jobs", "job", "summary_of", "workflow")

def _do(how):
    if how == "fail":
        fail("failed")
    if how == "wrong":
        return [][0]
    if how == "late":
        sleep("1m")
    if how == "never":
        sleep("100d")
    return Err("enough", kind = "cancelled") if how == "given up" else how

act = flow(lambda fctx: _do(fctx.args.how), args = {"how": args.string()})

def _some_ok(needs):
    return "ok" in [it.status for it in needs.values()]

"""


@dataclass(frozen=True)
class Job:
    """One job: ``legs`` is None without a matrix; ``when`` is a constant, "some ok" or None for no condition."""

    name: str
    needs: tuple[str, ...]
    trigger: str
    skip_on_failure: bool
    when: bool | str | None
    how: str
    legs: tuple[str, ...] | None
    fail_fast: bool
    max_parallel: int | None
    is_function: bool
    is_late: bool

    def text(self) -> str:
        """The job as flow text; a late one computes its matrix or its arguments while the workflow runs."""
        parts = ["lambda fctx, needs, how: _do(how)" if self.is_function else "act", f"needs = {list(self.needs)}"]
        lazily = "lambda needs: " if self.is_late else ""
        if self.legs is None:
            parts.append(f"args = {lazily}{{'how': {self.how!r}}}")
        else:
            parts.append(f"matrix = {lazily}{{'how': {list(self.legs)}}}")
        if self.when is not None:
            parts.append(f"when = {'_some_ok' if self.when == 'some ok' else f'lambda needs: {self.when}'}")
        parts.append(f"trigger = {self.trigger!r}, skip_on_failure = {self.skip_on_failure}, timeout = '1d'")
        parts.append(f"fail_fast = {self.fail_fast}, max_parallel = {self.max_parallel}")
        return f"{self.name!r}: job({', '.join(parts)})"

    @property
    def end(self) -> str:
        """The status of the job once it has run."""
        found = [ENDS[how] for how in (self.legs if self.legs is not None else (self.how,))]
        return next((status for status in ("err", "timeout", "cancelled") if status in found), "ok")


@dataclass(frozen=True)
class Graph:
    """The jobs of a workflow, each after those it needs; ``declared`` is the order in which they are written."""

    jobs: tuple[Job, ...]
    declared: tuple[int, ...]
    max_parallel: int
    only: tuple[str, ...]
    exclude: tuple[str, ...]

    def text(self) -> str:
        """The workflow, an expression."""
        jobs = ",\n    ".join(self.jobs[at].text() for at in self.declared)
        return f"workflow(max_parallel = {self.max_parallel}, jobs = {{\n    {jobs}\n}})"

    def statuses(self) -> dict[str, str]:
        """What becomes of each job, read off the rules."""
        found: dict[str, str] = {}
        by_name = {job.name: job for job in self.jobs}
        for job in self.jobs:
            needed = {need: found[need] for need in job.needs if not self.only or need in self.only}
            ends = set(needed.values())
            failed = [need for need, status in needed.items() if status in FAILED]
            starts = {
                "all_success": ends <= {"ok"},
                "one_success": "ok" in ends or not ends,
                "none_failed": not failed,
                "always": True,
            }[job.trigger]
            wanted = self.only or {None: True, "some ok": "ok" in [found[need] for need in job.needs]}.get(
                job.when,  # type: ignore[arg-type]
                bool(job.when),
            )
            if job.name in self.exclude or (self.only and job.name not in self.only):
                found[job.name] = "skipped"
            elif not starts:
                blamed = [need for need in failed if not by_name[need].skip_on_failure]
                found[job.name] = "err" if blamed else "skipped"
            else:
                found[job.name] = job.end if wanted else "skipped"
        return found

    def is_ok(self) -> bool:
        """Whether the workflow is Ok."""
        statuses = self.statuses()
        return not any(statuses[job.name] in FAILED and not job.skip_on_failure for job in self.jobs)


@st.composite
def _jobs(draw: st.DrawFn, name: str, before: list[str]) -> Job:
    trigger = draw(st.sampled_from(TRIGGERS))
    fail_fast = draw(st.booleans())
    hows = st.sampled_from(SLOW if fail_fast else sorted(ENDS))
    # A job that does not wait for all it needs must not depend on how these end.
    conditions = [None, None, None, True, False] if trigger == "one_success" else [None, None, True, False, "some ok"]
    return Job(
        name=name,
        needs=tuple(draw(st.lists(st.sampled_from(before), unique=True, max_size=3))) if before else (),
        trigger=trigger,
        skip_on_failure=draw(st.booleans()),
        when=draw(st.sampled_from(conditions)),
        how=draw(st.sampled_from(["ok", "ok", *sorted(ENDS)])),
        legs=draw(st.none() | st.lists(hows, max_size=4).map(tuple)),
        fail_fast=fail_fast,
        max_parallel=draw(st.none() | st.integers(1, 3)),
        is_function=draw(st.booleans()),
        is_late=draw(st.booleans()),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to eight jobs; sometimes some of them alone, or without some."""
    jobs: list[Job] = []
    for at in range(draw(st.integers(1, 8))):
        jobs.append(draw(_jobs(f"j{at}", [job.name for job in jobs])))
    some = st.lists(st.sampled_from([job.name for job in jobs]), unique=True, max_size=3).map(tuple)
    few = st.sampled_from([False, True])
    return Graph(
        tuple(jobs),
        tuple(draw(st.permutations(range(len(jobs))))),
        draw(st.integers(1, 4)),
        draw(some) if draw(few) else (),
        draw(some) if draw(few) else (),
    )
