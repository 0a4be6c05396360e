"""``exec``: a program of this machine, without a shell.

It is started under a guard (``guard``), with an environment made from nothing, in a session of its own, and all of it
is ended when it has ended, when its time is up, when it is cancelled, and when the engine is no more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowmetal.actions.beneath import reach
from flowmetal.actions.effect import Arguments, Effect, EffectContext, EffectFailure, Parameter, os_failure, plain
from flowmetal.actions.finding import checked_program, not_started
from flowmetal.actions.output import Capture, Drain, Feed, share
from flowmetal.actions.printing import FileSink
from flowmetal.actions.processes import Ending, NotStarted, Order, Programs
from flowmetal.actions.program_call import MAX_STDIN_BYTES, ProgramCall, read_call, want_program
from flowmetal.actions.secrets import reveal, secret_names, text_of
from flowmetal.permissions.decision import Allowed
from flowmetal.values import MAX_BYTES, Wire

SAFE_PATH: Final = "/usr/bin:/bin"
"""``PATH`` of every program that is started."""

VALUE_BYTES: Final = MAX_BYTES - 48 * 1024
"""What a value has room for of both streams together."""

TAIL_BYTES: Final = 4_096
_DRAIN_SECONDS: Final = 1.0
_MOST_WORDS: Final = 200


@dataclass(slots=True)
class _Streams:
    """Both ends of the pipes of one program; the ends for the engine are owned by what reads and writes them."""

    stdout: Capture
    stderr: Capture
    file: FileSink | None

    def last_words(self) -> Mapping[str, object]:
        return {"stdout": self.stdout.tail(TAIL_BYTES), "stderr": self.stderr.tail(TAIL_BYTES)}


async def _perform(allowed: tuple[Allowed, ...], args: Arguments, context: EffectContext) -> Wire:
    call = read_call(args, context)
    decisions = {each.want.effect: each for each in allowed}
    program = checked_program(call.shown, decisions["exec"], [each for each in allowed if each.want.effect == "secret"])
    env = {"PATH": SAFE_PATH, **_inherited(call), **_texts(call.env, allowed, context)}
    env["FLOWMETAL_IDEMPOTENCY_KEY"] = context.idempotency_key
    stdin = _stdin(call, allowed, context)
    limit = min(context.limits.exec_output_bytes, VALUE_BYTES)
    secrets = [text_of(name, context) for name in secret_names([*call.env.values(), *(call.stdin or [])])]
    file = None
    if "write" in decisions:
        file = FileSink(decisions["write"], args["stdout_to"], context)
    streams = _Streams(Capture(limit, secrets), Capture(limit, secrets), file)
    context.final_words.append(streams.last_words)
    programs = context.services.resources.get(Programs)
    async with programs.place(context.idempotency_key):
        cwd = _directory(decisions.get("read"), args["cwd"], context)
        try:
            order = Order(program, call.argv, env, cwd, decisions["exec"].digests)
            ending = await _run(programs, order, stdin, streams, call)
        except NotStarted as error:
            raise not_started(call.shown, program, error) from None
        except OSError as error:
            raise os_failure("run", call.shown, error) from None
        finally:
            os.close(cwd)
    return _result(call, program, ending, streams, limit)


async def _run(programs: Programs, order: Order, stdin: bytes | None, streams: _Streams, call: ProgramCall) -> Ending:
    """Runs a program to its end, and to the end of all that came of it."""
    theirs: list[int] = []
    readers: list[Drain | Feed] = []
    try:
        feed_from, feed_to = os.pipe() if stdin is not None else (os.open(os.devnull, os.O_RDONLY), -1)
        theirs.append(feed_from)
        if stdin is not None:
            readers.append(Feed(feed_to, stdin))
        for capture in (streams.stdout, streams.stderr):
            ours, their = os.pipe()
            theirs.append(their)
            if capture is streams.stdout and streams.file is not None:
                streams.file.begin(ours)
            else:
                readers.append(Drain(ours, capture))
        async with programs.started(order, (theirs[0], theirs[1], theirs[2])) as process:
            while theirs:
                os.close(theirs.pop())
            over = asyncio.ensure_future(process.ended())
            broken = asyncio.ensure_future(streams.file.broken.wait()) if streams.file is not None else over
            try:
                await asyncio.wait({over, broken}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                broken.cancel()
            ending = await over if over.done() else Ending(None)
            if over.done():
                await process.gone()
        for reader in readers:
            if isinstance(reader, Drain):
                await reader.finish(_DRAIN_SECONDS)
        if streams.file is not None:
            await streams.file.finish(_DRAIN_SECONDS, keep=ending.code in call.ok_codes)
        return ending
    finally:
        for fd in theirs:
            os.close(fd)
        for reader in readers:
            reader.close()
        if streams.file is not None:
            await streams.file.abandon()


def _result(call: ProgramCall, program: str, ending: Ending, streams: _Streams, limit: int) -> Wire:
    out, out_is_cut = streams.stdout.text(limit)
    err, err_is_cut = streams.stderr.text(limit)
    out_size, err_size = len(out.encode("utf-8")), len(err.encode("utf-8"))
    if out_size + err_size > limit:
        out_share, err_share = share(limit, out_size, err_size)
        out, out_is_cut = streams.stdout.text(out_share) if out_share < out_size else (out, out_is_cut)
        err, err_is_cut = streams.stderr.text(err_share) if err_share < err_size else (err, err_is_cut)
    is_cut = out_is_cut or err_is_cut
    if ending.code in call.ok_codes:
        return {"struct": ["code", ending.code, "stdout", out, "stderr", err, "truncated", is_cut]}
    if ending.code is not None:
        what = f"ended with code {ending.code}"
    elif ending.signal_name:
        what = f"was ended by {ending.signal_name}"
    else:
        what = "was ended together with the process that watches over it"
    words = [line for line in streams.stderr.tail(TAIL_BYTES).splitlines() if line.strip()]
    said = f": {plain(words[-1].strip())[:_MOST_WORDS]}" if words else ""
    details = {"program": plain(program), "code": ending.code, "signal": ending.signal_name, **streams.last_words()}
    if ending.code is None:
        details["may_have_run"] = True
    raise EffectFailure(f"`{plain(call.shown)}` {what}{said}", details=details)


# -- what a program is given ---------------------------------------------------------------------------


def _inherited(call: ProgramCall) -> dict[str, str]:
    return {name: os.environ[name] for name in call.inherited if name in os.environ}


def _texts(env: dict[str, Wire], allowed: tuple[Allowed, ...], context: EffectContext) -> dict[str, str]:
    texts: dict[str, str] = {name: reveal(value, allowed, context) for name, value in env.items()}
    for name, text in texts.items():
        if "\0" in text:
            raise EffectFailure(f"exec: the secret for {name} holds a NUL character, which no variable may")
    return texts


def _stdin(call: ProgramCall, allowed: tuple[Allowed, ...], context: EffectContext) -> bytes | None:
    if call.stdin is None:
        return None
    data = "".join(reveal(call.stdin, allowed, context)).encode("utf-8", "surrogateescape")
    if len(data) > MAX_STDIN_BYTES:
        raise EffectFailure(
            f"exec: stdin has {len(data):,} bytes, and at most {MAX_STDIN_BYTES:,} are handed over; write them to a "
            "file and pass its path",
            kind="limit",
        )
    return data


def _directory(allowed: Allowed | None, shown: str | None, context: EffectContext) -> int:
    """The open directory to work in."""
    if allowed is None or shown is None:
        try:
            return os.open(context.base_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise os_failure("run in", context.base_dir, error) from None
    try:
        with reach(allowed, "run in", shown) as place:
            return place.open_directory()
    except OSError as error:
        raise os_failure("run in", shown, error) from None


EXEC: Final = Effect(
    name="exec",
    doc="Runs a program, without a shell, and gives `struct(code, stdout, stderr, truncated)`. Ended with another code "
    "than `ok_codes`, it is Err, with `code`, `signal`, `stdout` and `stderr` in its details. "
    "What it leaves running is ended with it.",
    parameters=(
        Parameter("argv", "list", "the program and its arguments"),
        Parameter("stdin", "any", "what it reads: a text, a secret or a list of them; nothing by default", None),
        Parameter("cwd", "str | None", "where it runs; the run's starting directory by default", None),
        Parameter("env", "dict | None", "its variables, texts or secrets; beside PATH it has no others", None),
        Parameter("inherit_env", "list | None", "names of variables of Flowmetal's own that it gets too", None),
        Parameter("ok_codes", "list", "the codes that are no failure", [0]),
        Parameter("stdout_to", "str | None", "a file to take what it prints, however much", None),
    ),
    mode="async",
    want=want_program,
    perform=_perform,
    sample={"struct": ["code", 0, "stdout", "", "stderr", "", "truncated", False]},
)
"""See the module's text."""
