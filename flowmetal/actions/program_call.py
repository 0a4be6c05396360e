"""The arguments of ``exec``, checked, and what they want."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flowmetal.actions.beneath import want_path
from flowmetal.actions.effect import Arguments, EffectContext, EffectFailure, plain, type_name
from flowmetal.actions.secrets import secret_names, want_secrets
from flowmetal.permissions.decision import Want
from flowmetal.permissions.environment import is_hijacking, is_name
from flowmetal.permissions.paths import absolute
from flowmetal.values import Wire, to_text

MAX_STDIN_BYTES: Final = 1024 * 1024
_MAX_CODE: Final = 255


@dataclass(frozen=True, slots=True)
class ProgramCall:
    """A call of ``exec``; ``shown`` is the program as the flow names it, ``program`` as the want does.

    ``env`` and ``stdin`` may hold references to secrets.
    """

    shown: str
    program: str
    argv: tuple[str, ...]
    env: dict[str, Wire]
    inherited: tuple[str, ...]
    stdin: list[Wire] | None
    ok_codes: frozenset[int]


def read_call(args: Arguments, context: EffectContext) -> ProgramCall:
    """The call that arguments describe.

    Raises:
        EffectFailure: of kind ``error``, or ``denied`` for a variable that no program is given.
    """
    argv = _argv(args["argv"])
    env = _env(args["env"])
    inherited = _names(args["inherit_env"])
    for name in (*env, *inherited):
        _check_variable(name)
    twice = next((name for name in inherited if name in env), None)
    if twice is not None:
        raise _wrong(f"{twice} stands both in env and in inherit_env")
    program = absolute(argv[0], context.base_dir) if "/" in argv[0] else argv[0]
    return ProgramCall(
        argv[0], program, (program, *argv[1:]), env, inherited, _stdin(args["stdin"]), _ok_codes(args["ok_codes"])
    )


def want_program(args: Arguments, context: EffectContext) -> list[Want]:
    """What a call of ``exec`` wants: the program, secrets for it, variables, a directory, a file."""
    call = read_call(args, context)
    wants = [Want("exec", call.program, context.action_name)]
    wants += want_secrets([*call.env.values(), *(call.stdin or [])], f"exec:{call.program}", context)
    wants += [Want("env", name, context.action_name) for name in call.inherited]
    if args["cwd"] is not None:
        wants += want_path("read", args, context, name="cwd", is_directory=True)
    if args["stdout_to"] is not None:
        wants += want_path("write", args, context, name="stdout_to")
    return wants


def _argv(items: list[Wire]) -> list[str]:
    if not items:
        raise _wrong("argv is empty: its first item is the program")
    for index, item in enumerate(items):
        if secret_names(item):
            raise _wrong(
                f"argv[{index}] is a secret, and arguments can be seen by everybody on this machine (`ps`): hand it "
                "over by env= or stdin="
            )
        if not isinstance(item, str):
            raise _wrong(f"argv[{index}] is a value of type {type_name(item)}, not a text")
        if "\0" in item:
            raise _wrong(f"argv[{index}] holds a NUL character")
    if len(items) == 1 and "/" not in items[0] and len(items[0].split()) > 1:
        raise _wrong(f"argv is a list of words: {to_text(items[0].split(), 100)}")
    if not items[0] or items[0].endswith("/"):
        raise _wrong("argv[0] names no program")
    return items


def _env(wire: Wire) -> dict[str, Wire]:
    pairs = wire["dict"] if wire is not None else []
    env: dict[str, Wire] = {}
    for name, value in zip(pairs[::2], pairs[1::2], strict=True):
        if not isinstance(name, str):
            raise _wrong(f"a name in env is a value of type {type_name(name)}, not a text")
        if type_name(value) not in ("str", "secret"):
            raise _wrong(f"{plain(name)} in env is a value of type {type_name(value)}, not a text or a secret")
        if isinstance(value, str) and "\0" in value:
            raise _wrong(f"{plain(name)} in env holds a NUL character")
        env[name] = value
    return env


def _names(items: list[Wire] | None) -> tuple[str, ...]:
    for item in items or []:
        if not isinstance(item, str):
            raise _wrong(f"an item of inherit_env is a value of type {type_name(item)}, not the name of a variable")
    return tuple(dict.fromkeys(items or []))


def _check_variable(name: str) -> None:
    if not is_name(name):
        raise _wrong(f"`{plain(name)}` is not the name of a variable")
    if is_hijacking(name):
        raise EffectFailure(
            f"exec: the variable {name} is never given to a program: it can make it run other code than its own",
            kind="denied",
        )


def _stdin(wire: Wire) -> list[Wire] | None:
    if wire is None:
        return None
    parts = wire if isinstance(wire, list) else [wire]
    for part in parts:
        if type_name(part) not in ("str", "secret"):
            raise _wrong(f"stdin is a text, a secret or a list of them, and holds a value of type {type_name(part)}")
    return parts


def _ok_codes(items: list[Wire]) -> frozenset[int]:
    if not items or not all(type(item) is int and 0 <= item <= _MAX_CODE for item in items):
        raise _wrong(f"ok_codes is a list of one whole number or more between 0 and {_MAX_CODE}")
    return frozenset(items)


def _wrong(problem: str) -> EffectFailure:
    return EffectFailure(f"exec: {problem}", kind="error")
