"""A group of commands that imports a command only when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

from flowmetal.errors import UsageError, did_you_mean

COMMANDS: Final = {
    "run": "Run a flow file, or one flow of it.",
    "plan": "Show what a run would do and need, with nothing done.",
    "resume": "Go on with runs that were interrupted.",
    "upgrade": "Let runs that are under way go on with other code.",
    "rerun": "Run again what a run did, without what was Ok.",
    "log": "Show what a run did: actions, children, times, results.",
    "graph": "Show which flows and effects of a run needed which.",
    "explain": "Say why a run is not moving, and what would free it.",
    "ps": "List runs, newest first.",
    "show": "Show one run: arguments, result, grants, code, versions, limits.",
    "flows": "List the flows of a file with their arguments.",
    "check": "Check flow files without running them.",
    "test": "Run the tests of a package.",
    "fixture": "Make a test of a run.",
    "grant": "Allow a run more, from now on.",
    "answer": "Answer what a run asks a person.",
    "signal": "Send a message to a run.",
    "query": "Show the values that a run exposes.",
    "pause": "Let nobody go on with runs until they are resumed.",
    "cancel": "End runs and everything they started.",
    "export": "Write a run with its code and history into a file.",
    "import": "Take in a run that was exported from another home.",
    "gc": "Remove finished runs from the journal.",
    "verify": "Re-read the whole journal and name what is damaged.",
    "doctor": "Show the home, its journal, and whether all works here.",
    "trust": "Let the grants of a flowmetal.toml count.",
    "new": "Begin a package.",
    "docs": "Show what a package offers, as Markdown.",
    "publish": "Put a package where others can load it from.",
    "pkg": "Work with packages: add, update, remove, tree, vendor and more.",
    "completion": "Print the completion script of a shell.",
}
"""Every command with its short help, in the order in which ``--help`` lists them."""

OF_PACKAGES: Final = {
    "add": "Require packages.",
    "update": "Require newer versions, and accept what they may need.",
    "remove": "Require packages no more.",
    "tree": "Show all packages of a project, and what they may need.",
    "why": "Show who needs a package.",
    "verify": "Read every package of the lock again.",
    "vendor": "Write the packages of the lock into the project.",
    "cache": "List, verify or clean what is kept on this machine.",
    "yank": "Take a version of a package out of use for whoever does not lock it.",
    "serve": "Serve a directory of packages on this machine.",
}
"""The commands of ``flowmetal pkg``, each in a module ``pkg_NAME``."""

_MODULES: Final = {"import": "import_"}


def module_of(command: str) -> str:
    """The module of this package that holds a command."""
    return _MODULES.get(command, command)


class ReaderGone(Exception):
    """Who reads what a command prints has closed the pipe; click itself would make an exit with code 1 of that."""


class LazyGroup(click.Group):
    """A group whose commands are modules of this package.

    Args:
        table: the commands with their short help; those of Flowmetal itself by default.
        prefix: what the name of each module begins with.
        settings: as a group of click has them.
    """

    def __init__(self, *, table: Mapping[str, str] | None = None, prefix: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self._table = COMMANDS if table is None else table
        self._prefix = prefix

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command.

        Raises:
            ReaderGone: its output cannot be written any more.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; its module is imported now."""
        if cmd_name not in self._table:
            return None
        module = import_module(f"flowmetal.cli.{self._prefix}{module_of(cmd_name)}")
        command: click.Command = module.command
        return command

    def commands_with(self, ctx: click.Context, option: str) -> list[str]:
        """The names of the commands that have an option."""
        found = []
        for name in self._table:
            command = self.get_command(ctx, name)
            if command is not None and any(option in (*each.opts, *each.secondary_opts) for each in command.params):
                found.append(name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that ``args`` begin with.

        Raises:
            UsageError: there is none of that name; names the nearest.
        """
        name = args[0]
        if name not in self._table and not name.startswith("-"):
            if name.partition(":")[0].endswith(".flow"):
                raise UsageError(f"there is no command `{name}`", remedy=f"to run it: flowmetal run {name}")
            raise UsageError(
                f"there is no command `{name}`{did_you_mean(name, self._table)}",
                remedy=f"`{ctx.command_path} --help` lists the commands",
            )
        return super().resolve_command(ctx, args)
