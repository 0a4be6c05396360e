"""How a run's end is shown: the result on stdout, a failure on stderr with everything that led to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from flowmetal.cli.reading import errs_of, flow_of, result_data, seconds_of, started_of
from flowmetal.cli.text import continued, cut, drawn, json_text, printable, with_home
from flowmetal.errors import EXIT_OK, EXIT_RUN_FAILED, FlowmetalError
from flowmetal.journal.headers import Header
from flowmetal.journal.journal import Journal
from flowmetal.language.diagnostics import draw
from flowmetal.language.labels import short_name
from flowmetal.values import Failure, Wire, failure_of, is_ok, to_json_data, unpack

if TYPE_CHECKING:  # who only looks needs no engine
    from flowmetal.engine.engine import Outcome

_NOTE_WIDTH: Final = 200
_MOST_NAMES: Final = 12
_MOST_DETAILS: Final = 600
"""How many characters of what a failure tells about itself are shown to a person."""


def finish(journal: Journal, outcome: Outcome, *, as_json: bool, home: str | None, errs: int = 0) -> int:
    """Shows how a root run came out, and that ``errs`` results on its way to an Ok were Err; the exit code.

    Raises:
        FlowmetalError: what stopped it unfinished.
    """
    if outcome.error is not None:
        raise outcome.error
    header = outcome.header
    wire = unpack(outcome.value) if outcome.value is not None else {"result": [True, None, None]}
    if as_json:
        print(json_text(summary(header, wire)))
    elif is_ok(wire):
        print_value(wire["result"][1])
    if is_ok(wire):
        if errs and not as_json:
            sys.stdout.flush()
            print("\n".join(_note(journal, header.run_id, errs, home)), file=sys.stderr)
        return EXIT_OK
    failure = failure_of(wire)
    lines = [*failure_lines(journal, header, failure), *help_lines(header, failure, home)]
    print("\n".join(lines), file=sys.stderr)
    return EXIT_RUN_FAILED


def _note(journal: Journal, run_id: str, errs: int, home: str | None) -> Iterator[str]:
    """That an Ok had ``errs`` results on its way that were Err, with one of them: nobody was told of it."""
    results = "1 result on the way was Err" if errs == 1 else f"{errs:,} results on the way were Err"
    yield f"note: {results}: {with_home(f'flowmetal log {run_id} --errs', home)}"
    failure = next(errs_of(journal, run_id), None)
    if failure is not None:
        place = f"  --> {printable(failure.source)}" if failure.source else ""
        yield f"  {'' if errs == 1 else 'one: '}{cut(printable(_told(failure)), _NOTE_WIDTH)}{place}"


def summary(header: Header, wire: Wire) -> dict[str, Any]:
    """The one object of ``--json``."""
    return {
        "run": header.run_id,
        "flow": flow_of(header),
        "status": header.status,
        **result_data(wire),
        "seconds": seconds_of(header, int(time.time() * 1_000)),
    }


def print_value(value: Wire) -> None:
    """Prints a result: nothing for None, a string, anything else as indented JSON.

    A string is printed as it is, but for what a terminal would obey.
    """
    if isinstance(value, str):
        print(printable(value, keep="\n\t") if sys.stdout.isatty() else value)
    elif value is not None:
        print(json_text(to_json_data(value), indent=2))


def failure_lines(journal: Journal, header: Header, failure: Failure) -> Iterator[str]:
    """A failure and its chain of causes for a person, with the lines of source they come from."""
    sources = Sources(journal, header)
    for at, each in enumerate(failure.chain()):
        words = "error" if at == 0 else "caused by"
        yield f"{words}: {continued(_told(each))}  [{printable(each.kind)}]"
        if each.source:
            yield f"  --> {printable(each.source)}"
        excerpt = each.trace if "|" in each.trace else sources.excerpt(each.source)
        if excerpt:
            yield drawn(excerpt)
        if each.trace and each.trace != excerpt:
            yield "  called from:"
            yield drawn(each.trace)
        details = to_json_data(each.details) or {}
        shown = (
            {name: value for name, value in details.items() if name != "option"}
            if isinstance(details, dict)
            else details
        )
        if shown:
            yield f"  details: {_details(shown)}"


def help_lines(header: Header, failure: Failure, home: str | None) -> Iterator[str]:
    """The commands that tell more of a run that has failed, and that do it again."""
    log, again = (with_home(f"flowmetal {each}", home) for each in (f"log {header.run_id}", f"rerun {header.root}"))
    yield f"  help: `{log}` shows what the run did"
    # The option itself stands in the message; here it would be pasted unread, and a flow can forge such a failure.
    is_denied = any(each.kind == "denied" for each in failure.chain())
    yield f"  help: `{again}`{', with what it lacked allowed,' if is_denied else ''} does again what was not Ok"


def _told(failure: Failure) -> str:
    """The message of a failure, with the flow whose it is where it does not say so."""
    is_named = not failure.flow or failure.flow in failure.message
    return failure.message if is_named else f"{failure.flow}: {failure.message}"


def _details(shown: object) -> str:
    """Details as JSON; of many only the short ones, and of the others how long they are."""
    text = json_text(shown)
    if len(text) <= _MOST_DETAILS:
        return text
    parts = {name: json_text(value) for name, value in shown.items()} if isinstance(shown, dict) else {}
    if not parts or len(parts) > _MOST_NAMES:
        return f"{text[:_MOST_DETAILS]}… and {len(text) - _MOST_DETAILS:,} more, see --json"
    short = _MOST_DETAILS // len(parts)
    told = (
        f"{json_text(name)}: {part if len(part) <= short else f'… ({len(part):,} characters, see --json)'}"
        for name, part in parts.items()
    )
    return f"{{{', '.join(told)}}}"


class Sources:
    """Lines of a run's pinned code."""

    def __init__(self, journal: Journal, header: Header) -> None:
        self._journal = journal
        self._run_id = header.run_id
        self._digests: dict[str, str] | None = None

    def excerpt(self, place: str) -> str:
        """The line of a place ``file:line…``, drawn; "" when it is not known."""
        file, _, rest = place.partition(":")
        line = rest.partition(":")[0]
        if not line.isdigit():
            return ""
        try:
            if self._digests is None:
                program = started_of(self._journal, self._run_id).get("program", ())
                self._digests = {short_name(label): digest for label, digest in program}
            digest = self._digests.get(file)
            return draw(self._journal.code(digest), int(line)) if digest else ""
        except FlowmetalError:
            return ""
