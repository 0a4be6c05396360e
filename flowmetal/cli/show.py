"""``flowmetal show``: all that a run's header and first event say."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from flowmetal.cli.options import RUN_ID, home_option, json_option

if TYPE_CHECKING:
    from flowmetal.journal.headers import Header
    from flowmetal.journal.journal import Journal


@click.command(name="show")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@home_option
@json_option("Print one object.")
def command(run_id: str, home: str | None, as_json: bool) -> int:
    """Show one run: where it stands, arguments, result, grants, labels, code digests, versions, limits."""
    from flowmetal.cli.reading import open_existing

    journal = open_existing(home)
    header = journal.require(run_id)
    data = _data(journal, header, home)
    if as_json:
        from flowmetal.cli.text import json_text

        print(json_text(data, indent=2))
    else:
        _print(data, home)
        if "failure" in data:
            _print_failure(journal, header, home)
    return 0


def _print_failure(journal: Journal, header: Header, home: str | None) -> None:
    from flowmetal.cli.outcomes import failure_lines, help_lines
    from flowmetal.cli.reading import load
    from flowmetal.values import failure_of

    assert header.result is not None
    print()
    failure = failure_of(load(journal, header.run_id, header.result))
    for line in (*failure_lines(journal, header, failure), *help_lines(header, failure, home)):
        print(line)


def _grants(grants: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: [f"{row[0]}={row[1]}" for row in grants[name]] for name in ("allow", "deny") if name in grants
    }
    if "packages" in grants:
        shown["packages"] = {label: _grants(some) for label, some in grants["packages"]}
    return shown


def _data(journal: Journal, header: Header, home: str | None) -> dict[str, Any]:
    from flowmetal.cli.event_data import to_data
    from flowmetal.cli.questions import open_questions
    from flowmetal.cli.reading import (
        flow_of,
        is_interrupted,
        load,
        reruns_of,
        result_data,
        seconds_of,
        started_of,
        unread_names,
        waits_for,
    )
    from flowmetal.cli.text import rfc3339
    from flowmetal.journal.keys import root_of
    from flowmetal.journal.messages import waiting
    from flowmetal.language.labels import short_name

    now_ms = int(time.time() * 1_000)
    root = header if header.is_root else journal.require(root_of(header.run_id))
    own = next(({**to_data(journal, header.run_id, at, event)} for at, event in journal.history(header.run_id)), {})
    if header.life > 1:
        (life,) = [
            to_data(journal, header.run_id, at, event)
            for at, event in journal.history(header.run_id, header.life_seq - 1)
            if at == header.life_seq
        ]
        own = {**own, **life}
    facts = started_of(journal, header.run_id)
    grants = facts.get("grants", {})
    for _, event in journal.history(root.run_id) if root.grants_digest else ():
        grants = event.fields["grants"] if event.kind == "grants" else grants
    data: dict[str, Any] = {
        "run": header.run_id,
        "flow": flow_of(header),
        **({"rerun_of": header.rerun_of} if header.rerun_of else {}),
        "reruns": [each.run_id for each in reruns_of(journal, header)] if header.is_root else [],
        **({"started_by": header.started_by} if header.started_by else {}),
        "name": header.name,
        "status": header.status,
        "paused": rfc3339(root.paused_ms) if root.is_held and root.paused_ms is not None else None,
        "pause_reason": root.pause_reason if root.is_held else "",
        "interrupted": is_interrupted(journal, root) and not header.is_finished,
        "parent": header.parent or None,
        "started": rfc3339(header.created_ms),
        "finished": rfc3339(header.finished_ms) if header.finished_ms is not None else None,
        "seconds": seconds_of(header, now_ms),
        "deadline": rfc3339(root.deadline_ms) if root.deadline_ms is not None else None,
        "waits_for": ""
        if header.is_finished or not header.is_root or root.is_held
        else waits_for(journal, header, now_ms),
        "asks": [
            {
                "run": each.run_id,
                "number": each.number,
                "reason": each.reason,
                "text": each.words,
                "since": rfc3339(each.at_ms),
                "command": each.command(home),
            }
            for each in ([] if header.is_finished else open_questions(journal, header))
        ],
        "attempt": header.attempt,
        "life": header.life,
        "moved_to": root.moved_to or None,
        "labels": dict(root.labels),
        "args": own.get("args", []),
        "kwargs": own.get("kwargs", {}),
    }
    if header.result is not None:
        data.update(result_data(load(journal, header.run_id, header.result)))
    with journal.store.view() as view:
        data["unread_messages"] = waiting(view, header.run_id).messages
    data["unread_names"] = unread_names(journal, header.run_id)
    data["flows_started"] = sum(1 for _ in journal.descendants(header.run_id))
    data["grants"] = _grants(grants)
    data["on_deny"] = facts.get("on_deny") or "err"
    data["base_dir"] = facts.get("base_dir", "")
    data["program"] = header.program
    data["packages"] = [
        {"package": package, "version": version, "tree": tree}
        for package, version, tree, _ in facts.get("packages", [])
    ]
    data["code"] = {short_name(label): digest for label, digest in facts.get("program", [])}
    data["versions"] = facts.get("versions", {})
    data["limits"] = facts.get("limits", {})
    return data


def _unread(data: Mapping[str, Any]) -> str:
    from flowmetal.cli.text import cut

    count = data["unread_messages"]
    names = cut(", ".join(data["unread_names"]), 200)
    return f"{count:,} message{'s' if count > 1 else ''}: {names}" if count else ""


def _print(data: Mapping[str, Any], home: str | None) -> None:
    from flowmetal.cli.text import printable, show_seconds, with_home

    status = data["status"]
    resume = with_home(f"flowmetal resume {data['run'].partition('.')[0]}", home)
    if data["paused"]:
        why = f" ({data['pause_reason']})" if data["pause_reason"] else ""
        status = f"{status} since {data['paused']}{why}: it goes on with `{resume}`"
    if data["interrupted"]:
        status = f"{status}, interrupted: it goes on with `{resume}`"
    if data["moved_to"]:
        status = f"{status}, moved to {data['moved_to']}"
    lines: list[tuple[str, Any]] = [
        ("run", data["run"]),
        ("flow", data["flow"]),
        ("rerun of", data.get("rerun_of", "")),
        ("reruns", ", ".join(data["reruns"])),
        ("started by", data.get("started_by", "")),
        ("status", status),
        ("waits for", data["waits_for"]),
        *(("asks", f"{each['text']}  {each['command']}") for each in data["asks"]),
        ("attempt", data["attempt"] if data["attempt"] > 1 else None),
        ("life", data["life"] if data["life"] > 1 else None),
        ("part of", data["parent"]),
        ("started", data["started"]),
        ("finished", data["finished"]),
        ("duration", show_seconds(data["seconds"])),
        ("deadline", data["deadline"]),
        ("labels", ", ".join(f"{name}={value}" for name, value in data["labels"].items())),
        ("arguments", _arguments(data)),
        ("result", _compact(data["result"]) if data.get("result") is not None else None),
        ("failure", f"{data['failure']['kind']}, see below" if "failure" in data else None),
        ("unread", _unread(data)),
        ("flows started", data["flows_started"] or None),
        ("allowed", ", ".join(data["grants"].get("allow", [])) or "nothing"),
        ("denied", ", ".join(data["grants"].get("deny", []))),
        *(
            (f"  {label}", ", ".join([*some["allow"], *(f"no {each}" for each in some["deny"])]) or "nothing")
            for label, some in data["grants"].get("packages", {}).items()
        ),
        ("if not granted", "it waits for a grant" if data["on_deny"] == "wait" else None),
        ("relative to", data["base_dir"]),
        *(
            ("packages" if at == 0 else "", f"{each['package']} {each['version'] or '(a folder)'}  {each['tree']}")
            for at, each in enumerate(data["packages"])
        ),
        ("code", data["program"]),
        *[("", line) for line in _code(data["code"])],
        ("versions", ", ".join(f"{name} {value}" for name, value in data["versions"].items())),
        ("limits", _limits(data["limits"])),
    ]
    for name, value in lines:
        if value not in (None, ""):
            print(f"{name:<14} {printable(str(value))}")


def _code(code: Mapping[str, str]) -> list[str]:
    """A line for each module; one for the prelude, whose files nobody has written or can change by themselves."""
    from flowmetal.journal.headers import program_digest
    from flowmetal.language.labels import PRELUDE, is_prelude

    prelude = [(label, digest) for label, digest in code.items() if is_prelude(label)]
    lines = [f"{digest[:16]}  {label}" for label, digest in code.items() if not is_prelude(label)]
    if prelude:
        lines.append(f"{program_digest(prelude)[:16]}  {PRELUDE} ({len(prelude)} files, each in --json)")
    return lines


def _arguments(data: Mapping[str, Any]) -> str:
    parts = [_compact(each) for each in data["args"]]
    parts += [f"{name} = {_compact(value)}" for name, value in data["kwargs"].items()]
    return ", ".join(parts)


def _limits(limits: Mapping[str, Any]) -> str:
    from flowmetal.settings import Limits

    ordinary = Limits().to_data()
    changed = [f"{name} {value}" for name, value in limits.items() if ordinary.get(name) != value]
    return ", ".join(changed) or "the usual (all are in --json)"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
