"""Cleanups of a run: registered by ``defer``, run by ``clean``, forgotten by ``release``.

Whatever is left when the flow has ended, by a failure past all that was meant to come after it, is run then, the last
one first.  When a run is cancelled none of its text is evaluated any more, and the engine starts what is left from what
the journal holds of it (``flowmetal/engine/endings.py``); so arguments are data, and a cleanup is a flow.
"""

from __future__ import annotations

from dataclasses import replace

from flowmetal.errors import ValueCodecError
from flowmetal.language.host import Answer, full_answer, is_ok_answer
from flowmetal.values import Failure, pack
from flowmetal.worker.driver import Driver, answer_of
from flowmetal.worker.run import Deferred, Run


def defer(driver: Driver, run: Run, deferred: Deferred, packed: bytes, undoes_next: bool) -> int:
    """Registers a cleanup under the number of the action that does so."""
    _tell(driver, run, f"defer {deferred.reference}", packed, deferred)
    run.deferred[run.number] = deferred
    run.undoing = run.number if undoes_next else 0
    return run.number


def release(driver: Driver, run: Run, numbers: list[int], line: str) -> None:
    """Forgets cleanups."""
    _tell(driver, run, "release", pack([numbers]), Deferred("", "release", None, None, [], line, []))
    for number in numbers:
        run.deferred.pop(number, None)


def _tell(driver: Driver, run: Run, callee: str, packed: bytes, about: Deferred) -> None:
    """An action that is over when it is written down."""
    driver.act(run, callee, packed, about.line, [], about.name, about.modules)
    run.open.pop(run.number, None)


def note_undone(run: Run, number: int, answer: Answer) -> None:
    """Action ``number`` came to ``answer``: the cleanup that was to undo it gets the value, or falls away."""
    if not run.undoing:
        return
    registered, run.undoing = run.undoing, 0
    if registered != number - 1 or registered not in run.deferred:
        return
    if is_ok_answer(answer):
        run.deferred[registered].args = [full_answer(answer)[1]]
    else:
        del run.deferred[registered]


def clean(driver: Driver, run: Run, number: int) -> Answer:
    """Runs a cleanup and waits for it."""
    deferred = run.deferred.pop(number)
    args = [] if deferred.args is None else deferred.args
    packed = pack([args, deferred.kwargs, deferred.policy, number])
    data = driver.act(run, f"clean {deferred.reference}", packed, deferred.line, [], deferred.name, deferred.modules)
    return answer_of(data)


def clean_rest(driver: Driver, run: Run, answer: Answer) -> Answer:
    """After a flow has ended with ``answer``: runs the cleanups that are left.  One that is Err spoils an Ok."""
    for number in reversed(list(run.deferred)):
        if run.deferred[number].args is None:
            del run.deferred[number]  # what it was to undo never came to a value
            continue
        source = run.deferred[number].line
        cleaned = clean(driver, run, number)
        if is_ok_answer(answer) and not is_ok_answer(cleaned):
            answer = _spoiled(run, source, full_answer(cleaned)[2])
    return answer


def _spoiled(run: Run, source: str, cause: object) -> Answer:
    failure = Failure("failed", "a cleanup failed", flow=run.name, source=source)
    told = [False, None, replace(failure, cause=cause).to_wire()]
    try:
        pack({"result": told})
    except ValueCodecError:
        return [False, None, failure.to_wire()]
    return told
