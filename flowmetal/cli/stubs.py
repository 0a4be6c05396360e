"""What effects give in a plan: what was recorded, else a sample, and nothing is done.

For an effect with its arguments there may be, in this order: the results that a run had for the same (the first for the
first that asks, and so on; the last of them for all further ones), a value from a file of samples, the sample that the
effect declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, type_name
from flowmetal.actions.registry import Registry
from flowmetal.cli.flow_arguments import read_file
from flowmetal.errors import UsageError, ValueCodecError, did_you_mean
from flowmetal.journal.journal import Journal
from flowmetal.permissions.decision import Allowed
from flowmetal.rehearsal.calls import fitted, without_fingerprints
from flowmetal.rehearsal.recorded import recorded_calls
from flowmetal.values import Wire, failure_of, is_ok, pack, to_json_data, to_text

RECORDED: Final = "recorded"
FROM_FILE: Final = "from the file of samples"
DECLARED: Final = "sample"


@dataclass(frozen=True, slots=True)
class Given:
    """What one effect of a plan was given: ``source`` is ``RECORDED``, ``FROM_FILE`` or ``DECLARED``."""

    source: str
    effect: str
    args: Arguments
    result: Wire


class Stubs:
    """Effects that only pretend.

    Args:
        registry: the effects there are.
        samples: values by effect, or by effect and first argument.
        recorded: the Results of a run by ``_key_of``, in their order.
    """

    def __init__(self, registry: Registry, samples: Mapping[str, Wire], recorded: Mapping[bytes, list[Wire]]) -> None:
        self.registry = Registry(self._stub(effect) for effect in registry.values())
        self.given: dict[str, Given] = {}
        self._samples = samples
        self._recorded = recorded
        self._asked: dict[bytes, int] = {}
        self._occurrences: dict[str, int] = {}

    def _stub(self, effect: Effect) -> Effect:
        def perform(_allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
            given = self._result(effect, args, context.idempotency_key)
            self.given[context.idempotency_key] = given
            if is_ok(given.result):
                return given.result["result"][1]
            failure = failure_of(given.result)
            error = EffectFailure(failure.message, kind=failure.kind)
            error.details = failure.details
            raise error

        return replace(effect, mode="inline", perform=perform)

    def _result(self, effect: Effect, args: Arguments, idempotency_key: str) -> Given:
        key = _key_of(effect.name, args)
        results = self._recorded.get(key) if key is not None else None
        if results and key is not None:
            # All attempts at one action are one occurrence.
            at = self._occurrences.get(idempotency_key)
            if at is None:
                at = self._occurrences[idempotency_key] = self._asked.get(key, 0)
                self._asked[key] = at + 1
            return Given(RECORDED, effect.name, args, results[min(at, len(results) - 1)])
        first = next(iter(args.values()), None)
        for name in (f"{effect.name}({_shown(first)})", effect.name):
            if name in self._samples:
                return Given(FROM_FILE, effect.name, args, _ok(fitted(effect, self._samples[name])))
        return Given(DECLARED, effect.name, args, _ok(_declared(effect, args)))


def read_samples(file: str, registry: Registry) -> dict[str, Wire]:
    """The values of a JSON file: ``{"read": "text", "http.get(https://example.org)": {"status": 404}}``.

    Raises:
        UsageError: no such file, another form, no such effect, or a field that its result has not.
    """
    samples = read_file(file, "--samples", "effect")
    for key, value in samples.items():
        name = key.partition("(")[0]
        if name not in registry or ("(" in key and not key.endswith(")")):
            raise UsageError(
                f"--samples {file}: there is no effect `{name}`{did_you_mean(name, registry)}",
                remedy='a key is the name of an effect, or NAME(FIRST ARGUMENT) such as "read(data.csv)"',
            )
        try:
            fitted(registry[name], value)
        except UsageError as error:
            raise UsageError(f"--samples {file}: {error.message}", remedy=error.remedy) from None
    return samples


def recorded_results(journal: Journal, run_id: str, registry: Registry) -> dict[bytes, list[Wire]]:
    """The Results of all effects of a run and of those below it, but for those that no grant allowed."""
    found: dict[bytes, list[Wire]] = {}
    for call in recorded_calls(journal, run_id, registry):
        if not is_ok(call.result) and failure_of(call.result).kind == "denied":
            continue  # what it would have given is not known
        key = _key_of(call.effect.name, call.args)
        if key is not None:
            found.setdefault(key, []).append(call.result)
    return found


def _key_of(effect: str, args: Arguments) -> bytes | None:
    try:
        return pack([effect, [[name, value] for name, value in without_fingerprints(args).items()]])
    except ValueCodecError:
        return None  # too large to be started at all


def _ok(value: Wire) -> Wire:
    return {"result": [True, value, None]}


def _declared(effect: Effect, args: Arguments) -> Wire:
    sample = effect.sample
    if type_name(sample) == "secret":
        return {"secret": [next(iter(args.values())), sample["secret"][1]]}
    return sample


def _shown(value: Wire) -> str:
    return value if isinstance(value, str) else to_text(value)


def given_data(given: Given) -> dict[str, Any]:
    """What was given, for JSON."""
    ok, value, error = given.result["result"]
    data: dict[str, Any] = {
        "effect": given.effect,
        "args": {name: to_json_data(each) for name, each in given.args.items()},
        "source": given.source,
    }
    return {**data, "value": to_json_data(value)} if ok else {**data, "failure": to_json_data(error)}
