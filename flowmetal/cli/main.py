"""The command line: turns whatever goes wrong into words and an exit code."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import NoReturn

import click

import flowmetal
from flowmetal.cli.lazy import LazyGroup, ReaderGone
from flowmetal.cli.text import printable, with_home
from flowmetal.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USAGE,
    FlowmetalError,
    InternalError,
    UnknownRunError,
    did_you_mean,
)

_OF_A_HOME = (
    "run|plan|resume|upgrade|rerun|grant|answer|log|ps|show|explain|graph|signal|query|pause|cancel|export|import|gc"
    "|verify|doctor|trust"
)
_EXIT_BROKEN_PIPE = 141  # what a shell shows of a process that SIGPIPE ended


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(flowmetal.__version__, message="%(prog)s %(version)s")
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    help="Show the traceback when Flowmetal itself is at fault; also after the command.",
)
def cli() -> None:
    """Run flows: programs whose every action is recorded, so that a run that was killed is finished.

    \b
      flowmetal run etl.flow          run a file
      flowmetal plan etl.flow         what it would do, and the grants it needs
      flowmetal log RUN               what a run did
      flowmetal resume RUN            go on with a run that was interrupted
    """


def main() -> NoReturn:
    """Runs the command line of this process and ends it."""
    debug, argv = _take_debug(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    code = run(argv, debug=debug)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or _EXIT_BROKEN_PIPE
    # Everything is durable and flushed; taking the interpreter down in good order would only cost time.
    os._exit(code)


def run(argv: list[str], *, debug: bool = False) -> int:
    """Runs one command line; its exit code.  Every error is shown on stderr."""
    home = _home_of(argv)
    try:
        code = cli.main(argv, prog_name="flowmetal", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_OK
    except FlowmetalError as error:
        if isinstance(error, UnknownRunError) and not error.place:
            from flowmetal.places import home_path

            there = f" in {home_path(home)}"
            error.message = re.sub(r"^there is no run `[^`]*`", lambda match: match[0] + there, error.message)
        if home is not None:
            error.remedy = _with_home(error.remedy, home)
        return _show(error, debug)
    except click.ClickException as error:
        # Help that nobody asked for comes as an error whose message it is.
        is_help = type(error).__name__ == "NoArgsIsHelpError"
        _echo(error.format_message() if is_help else _usage_text(error))
        return EXIT_USAGE
    except ReaderGone:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _EXIT_BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as error:
        fault = InternalError(f"{type(error).__name__}: {error}")
        fault.__cause__ = error
        return _show(fault, debug)


def _home_of(argv: list[str]) -> str | None:
    """What ``--home`` says, None without it."""
    end = argv.index("--") if "--" in argv else len(argv)
    for at, token in enumerate(argv[:end]):
        name, equals, value = token.partition("=")
        if name == "--home":
            return value if equals else next(iter(argv[at + 1 : end]), None)
    return None


def _with_home(text: str, home: str) -> str:
    """``text`` with the home in each command that it names and that takes one."""

    def command(match: re.Match[str]) -> str:
        return match[0] if "--h" in match[0] else f"`{with_home(match[1], home)}`"

    return re.sub(rf"`(flowmetal (?:{_OF_A_HOME})\b[^`]*)`", command, text)


def _take_debug(argv: list[str]) -> tuple[bool, list[str]]:
    """Finds ``--debug`` wherever it stands before a ``--``."""
    end = argv.index("--") if "--" in argv else len(argv)
    if "--debug" not in argv[:end]:
        return False, argv
    return True, [each for each in argv[:end] if each != "--debug"] + argv[end:]


def _show(error: FlowmetalError, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    _echo(error.show())
    if error.exit_code == EXIT_INTERNAL and not debug:
        _echo("  help: this is a fault of Flowmetal; run it again with --debug to see the traceback, and report it")
    return error.exit_code


def _echo(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(printable(text, keep="\n\t"), file=sys.stderr)


def _usage_text(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    path = "flowmetal"
    if isinstance(error, click.UsageError) and error.ctx is not None:
        path = error.ctx.command_path
        if isinstance(error, click.NoSuchOption):
            group = error.ctx.command
            if isinstance(group, LazyGroup) and group.commands_with(error.ctx, error.option_name):
                name = error.option_name
                return f"error: `{name}` comes after the command\n  help: {path} COMMAND {name} …"
            names = [
                name for each in error.ctx.command.get_params(error.ctx) for name in (*each.opts, *each.secondary_opts)
            ]
            options = [name for name in names if name.startswith("-")]
            message = f"there is no option `{error.option_name}`{did_you_mean(error.option_name, options)}"
    message = message[:1].lower() + message[1:]
    return f"error: {message}\n  help: `{path} --help` lists what there is"
