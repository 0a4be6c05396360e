"""What a flow has returned, held against what it declares to return."""

from __future__ import annotations

from flowmetal.language.flows import FlowInfo
from flowmetal.language.host import Answer, is_ok_answer, value_of
from flowmetal.language.returns import Misfit
from flowmetal.values import Failure


def fitting(info: FlowInfo, name: str, answer: Answer) -> Answer:
    """The answer as the caller gets it: an Ok that is none of the declared type is Err, kind ``mistyped``.

    ``name`` is what the run is called.
    """
    returns = info.returns
    if returns is None or not is_ok_answer(answer):
        return answer
    try:
        return [True, returns.fitted(value_of(answer)), None]
    except Misfit as misfit:
        details = {"dict": ["returns", returns.text, "got", misfit.got, "at", misfit.at]}
        failure = Failure("mistyped", returns.says(name, misfit), details, flow=name, source=info.place)
        return [False, None, failure.to_wire()]
