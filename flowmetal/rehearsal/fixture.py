"""A recorded run as a test: what it was called with, what its effects gave, what came of it.

Secrets are in no journal, so they are in no test: a flow has their names only, and what effects gave was masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from flowmetal.actions.registry import Registry
from flowmetal.errors import UsageError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.language.flows import FlowInfo
from flowmetal.rehearsal.calls import call_text, without_fingerprints
from flowmetal.rehearsal.literals import called, literal
from flowmetal.rehearsal.recorded import recorded_calls
from flowmetal.values import Failure, Wire, is_ok, pack, unpack

_FLOW_VERBS: Final = ("call", "run")
_WITHOUT_ANSWERS: Final = ("secret",)


@dataclass(frozen=True, slots=True)
class RecordedFlow:
    """A flow that was called, with what, and the Result; ``run_id`` is "" if it had no action."""

    reference: str
    args: Wire
    kwargs: Wire
    result: Wire
    run_id: str


def flows_of(journal: Journal, header: Header) -> list[RecordedFlow]:
    """The flow that a run is of, or of the body of a file the flows that it called.

    Raises:
        UsageError: it has not ended, or no flow was called.
    """
    if header.result is None:
        raise UsageError(f"the run {header.run_id} has not ended", remedy="a test is made of a run that has a result")
    if header.flow:
        started = next(event for _, event in journal.history(header.run_id) if event.kind == "started")
        args, kwargs = unpack(journal.payload(header.run_id, started.fields["args"]))[:2]
        result = unpack(journal.payload(header.run_id, header.result))
        return [RecordedFlow(header.flow, args, kwargs, result, header.run_id)]
    found = list(_called(journal, header.run_id))
    if not found:
        raise UsageError(f"the run {header.run_id} called no flow, so there is nothing to test")
    return found


def _called(journal: Journal, run_id: str) -> Iterator[RecordedFlow]:
    asked: dict[int, tuple[str, Wire]] = {}
    for _, event in journal.history(run_id):
        number = event.fields.get("number", 0)
        if event.kind in ("action", "child"):
            verb, _, reference = str(event.fields["callee"]).partition(" ")
            if verb in _FLOW_VERBS and not event.fields.get("deps"):
                asked[number] = (reference, unpack(journal.payload(run_id, event.fields["args"])))
        if number in asked and "value" in event.fields and not event.fields.get("late"):
            reference, call = asked.pop(number)
            value = unpack(journal.payload(run_id, event.fields["value"]))
            below = f"{run_id}.{number}" if journal.header(f"{run_id}.{number}") is not None else ""
            yield RecordedFlow(reference, call[0], call[1], value, below)


def fixture_text(
    journal: Journal,
    run_id: str,
    flows: list[RecordedFlow],
    known: Mapping[str, FlowInfo],
    registry: Registry,
    loads: Mapping[str, str],
    loose: Mapping[str, str],
) -> str:
    """A test file.

    Args:
        journal: where the run is.
        run_id: the run that it is made of.
        flows: what is tested.
        known: the flows of the program by reference.
        registry: the effects there are.
        loads: how the test file loads a module, by label.
        loose: by name of a test whose result is not the same every time, why.

    Raises:
        UsageError: a flow has no global name, or an argument cannot be written.
    """
    names: dict[str, dict[str, None]] = {}
    tests = []
    asserts = {"assert_eq"} if len(loose) < len(flows) else set()
    for at, flow in enumerate(flows):
        info = known.get(flow.reference)
        if info is None or not info.global_name or info.global_name.startswith("_"):
            raise UsageError(
                f"{flow.reference} is no flow that a test can load",
                remedy="only a flow that a global without `_` is bound to can be; has the file changed since?",
            )
        names.setdefault(loads[info.label], {})[info.global_name] = None
        test = test_name(flows, at, info)
        if test in loose:
            asserts.add("assert_ok" if is_ok(flow.result) else "assert_err")
        tests.append("\n".join(_test(journal, flow, info.global_name, test, registry, loose.get(test))))
    loaded = [_load_line(module, list(some)) for module, some in names.items()]
    head = [f"# What the run {run_id} did.", _load_line("pkg.flowmetal.io/v1/testing", sorted(asserts)), *loaded]
    return "\n".join(head) + "\n\n" + "\n\n".join(tests) + "\n"


def _load_line(module: str, names: list[str]) -> str:
    return f"load({', '.join(map(literal, [module, *names]))})"


def test_name(flows: list[RecordedFlow], at: int, info: FlowInfo) -> str:
    """The name of the test of one of several flows."""
    before = sum(each.reference == flows[at].reference for each in flows[:at])
    return f"test_{info.global_name}" + (f"_{before + 1}" if before else "")


def _test(
    journal: Journal, flow: RecordedFlow, name: str, test: str, registry: Registry, loose: str | None
) -> Iterator[str]:
    yield f"def {test}(t):"
    if flow.run_id:
        for line in _answers(journal, flow.run_id, registry):
            yield f"    {line}"
    pairs = zip(flow.kwargs[::2], flow.kwargs[1::2], strict=True)
    by_name = [(str(each), without_fingerprints(value)) for each, value in pairs]
    call = called(name, [without_fingerprints(each) for each in flow.args], by_name)
    ok, value, error = flow.result["result"]
    if loose is not None:
        yield f"    # Not compared, as {loose}: {literal(value if ok else error)[:100]}".replace("\n", " ")
        kind = "" if ok else f", kind = {literal(Failure.from_wire(error).kind)}"
        yield f"    assert_{'ok' if ok else 'err'}({call}{kind})"
    elif ok:
        yield f"    assert_eq({call}, {literal(flow.result)})"
    else:
        yield f"    failure = {call}.error"
        failure = Failure.from_wire(error)
        yield f"    assert_eq([failure.kind, failure.message], [{literal(failure.kind)}, {literal(failure.message)}])"


def _answers(journal: Journal, run_id: str, registry: Registry) -> Iterator[str]:
    """What effects gave: one line for each call, with one answer if it was always the same."""
    found: dict[bytes, tuple[str, list[str]]] = {}
    for call in recorded_calls(journal, run_id, registry):
        if call.effect.name in _WITHOUT_ANSWERS and is_ok(call.result):
            continue
        shown = call_text(call.effect, call.args)
        said = f"effects.{call.effect.name}" + (f", {shown}" if shown else "")
        _, results = found.setdefault(pack([call.effect.name, shown]), (said, []))
        result = call.result["result"]
        results.append(literal(result[1]) if result[0] else f"Err({literal(_bare(result[2]))})")
    for said, results in found.values():
        if len(set(results)) == 1:
            yield f"t.answer({said})" if results[0] == "None" else f"t.answer({said}, gives = {results[0]})"
        else:
            yield f"t.answer({said}, each = [{', '.join(results)}])"


def _bare(failure: Wire) -> Wire:
    """A failure without its place, which is that of another run."""
    kind, message, details, *_ = failure["failure"]
    return {"failure": [kind, message, details, "", "", "", None]}
