"""What ``flowmetal signal`` and ``flowmetal query`` do: leave a message, look at what a run shows."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from typing import Final

from flowmetal.cli.driving import journal_drives
from flowmetal.cli.questions import latest_questions
from flowmetal.cli.reading import awaited_messages, open_existing
from flowmetal.cli.text import json_text, printable, with_home
from flowmetal.errors import EXIT_OK, UsageError, ValueCodecError, did_you_mean
from flowmetal.journal.journal import Journal
from flowmetal.journal.keys import root_of
from flowmetal.journal.messages import check_name, send_signal
from flowmetal.journal.reading import actions_called
from flowmetal.language.argument_texts import load_json
from flowmetal.sources import read_given
from flowmetal.values import Wire, from_python, pack, to_json_data, unpack

_MAX_BYTES: Final = 4 * 1024 * 1024


def signal(run_id: str, name: str, text: str | None, file: str | None, home: str | None, quiet: bool) -> int:
    """Leaves a message for a run; the exit code.

    Raises:
        UsageError: no such name, no JSON, or a run that takes no messages.
        UnknownRunError: no such run.
        QuotaError: the value is too large, or too much waits that the run has not read.
    """
    check_name(name, "a message")
    value = pack(_value(text, file))
    journal = open_existing(home)
    header = journal.require(run_id)
    awaited = awaited_messages(journal, root_of(run_id))  # before it is sent, for then they may wait for something else
    send_signal(journal.store, run_id, name, value)
    if quiet:
        return EXIT_OK
    if note := _misdirected(run_id, name, awaited):
        print(note, file=sys.stderr)
    elif run_id not in awaited and (asked := latest_questions(journal, [run_id])):
        print(f"{run_id} asks a person, and takes no message for that: {asked[0].command(home)}", file=sys.stderr)
    root = journal.require(root_of(run_id))
    if not header.is_finished and not journal_drives(journal, root):
        resume = with_home(f"flowmetal resume {root.run_id}", home)
        print(f"nobody drives {root.run_id} now; it is kept until: {resume}", file=sys.stderr)
    return EXIT_OK


def _misdirected(run_id: str, name: str, awaited: Mapping[str, list[str]]) -> str:
    """What to say of a message that is kept, because the run waits for another one, or another run for it."""
    kept = f"it is kept until {run_id} receives `{name}`"
    own = awaited.get(run_id, [name])
    if name not in own:
        return f"{run_id} waits for {', '.join(f'`{printable(each)}`' for each in own)}, not `{name}`; {kept}"
    others = [each for each, names in awaited.items() if name in names]
    if others and run_id not in awaited:
        return f"{others[0]} waits for `{name}`, and not {run_id}: each run has messages of its own; {kept}"
    return ""


def _value(text: str | None, file: str | None) -> Wire:
    if text is not None and file is not None:
        raise UsageError("the value is given twice", remedy="give it as JSON or by --json-file")
    where = "the value"
    if file is not None:
        where = f"--json-file {file}"
        text = _read(file)
    if text is None:
        return None
    try:
        return from_python(load_json(text))
    except json.JSONDecodeError as error:
        place = "" if file is None else f"{file}:{error.lineno}:{error.colno}"
        remedy = _as_json(text) if file is None and len(text) < 80 else ""
        raise UsageError(f"{where} is not JSON: {error.msg}", place=place, remedy=remedy) from None
    except ValueCodecError as error:
        raise UsageError(f"{where}: {error.message}", remedy=error.remedy) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON that can be read: {error}") from None


def _as_json(text: str) -> str:
    """How what is not JSON may have been meant."""
    word = {"True": "true", "False": "false", "None": "null"}.get(text)
    if word:
        return f"in JSON it is {word}"
    if text[:1] not in ("{", "["):
        return f"a text is written with quotes: {shlex.quote(json.dumps(text, ensure_ascii=False))}"
    try:
        return f"texts have double quotes: {shlex.quote(json.dumps(load_json(text.replace(chr(39), chr(34)))))}"
    except ValueError:
        return """names and texts have double quotes, and all of it single ones: '{"by": "Ada", "sizes": [1, 2]}'"""


def _read(file: str) -> str:
    try:
        data = read_given(file, _MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--json-file {file} cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise UsageError(f"--json-file {file} has more than {_MAX_BYTES:,} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"--json-file {file} is not UTF-8, at byte {error.start}") from None


def query(run_id: str, key: str | None, home: str | None, as_json: bool) -> int:
    """Prints what a run exposes, the last value of each key; the exit code.

    Raises:
        UsageError: the run has not exposed that key.
        UnknownRunError: no such run.
    """
    journal = open_existing(home)
    journal.require(run_id)
    shown = exposed(journal, run_id)
    if key is not None:
        if key not in shown:
            there = f"it exposes {', '.join(shown)}" if shown else "it exposes nothing"
            raise UsageError(f"`{run_id}` does not expose `{printable(key)}`{did_you_mean(key, shown)}", remedy=there)
        print(json_text(shown[key]) if as_json else printable(_text(shown[key]), keep="\n\t"))
    elif as_json:
        print(json_text(shown))
    else:
        width = max(map(len, shown), default=0)
        for name, value in shown.items():
            print(f"{name:<{width}}  {printable(json.dumps(value, ensure_ascii=False))}")
        if not shown:
            print(f"{run_id} exposes nothing", file=sys.stderr)
    return EXIT_OK


def exposed(journal: Journal, run_id: str) -> dict[str, object]:
    """The last value of each key that a run exposes, as JSON has it, in the order of the keys' first values.

    Raises:
        JournalError: an event or a value is damaged.
    """
    found: dict[str, object] = {}
    for fields in actions_called(journal.store, run_id, "expose"):
        key, value = unpack(journal.payload(run_id, fields["args"]))
        found[key] = to_json_data(value)
    return found


def _text(value: object) -> str:
    """One value for a person or a shell: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
