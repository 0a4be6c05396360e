"""A group of commands that imports a command only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

from flowmetal.errors import UsageError, did_you_mean

COMMANDS: Final = {
    "run": "Run a flow file, or one flow of it.",
    "plan": "Show what a run would do and need, with nothing done.",
    "resume": "Go on with runs that were interrupted.",
    "rerun": "Run again what a run did, without what was Ok.",
    "log": "Show what a run did: actions, children, times, results.",
    "ps": "List runs, newest first.",
    "show": "Show one run: arguments, result, grants, code, versions, limits.",
    "flows": "List the flows of a file with their arguments.",
    "check": "Check flow files without running them.",
    "test": "Run the tests of a package.",
    "grant": "Allow a run more, from now on.",
    "answer": "Answer what a run asks a person.",
    "pause": "Let nobody go on with runs until they are resumed.",
    "cancel": "End runs and everything they started.",
    "export": "Write a run with its code and history into a file.",
    "import": "Take in a run that was exported from another home.",
    "gc": "Remove finished runs from the journal.",
    "verify": "Re-read the whole journal and name what is damaged.",
    "doctor": "Show the home, its journal, and whether all works here.",
    "trust": "Let the grants of a flowmetal.toml count.",
    "completion": "Print the completion script of a shell.",
}
"""Every command with its short help, in the order in which ``--help`` lists them."""

_MODULES: Final = {"import": "import_"}


def module_of(command: str) -> str:
    """The module of this package that holds a command."""
    return _MODULES.get(command, command)


class LazyGroup(click.Group):
    """A group whose commands are the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; its module is imported now."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"flowmetal.cli.{module_of(cmd_name)}")
        command: click.Command = module.command
        return command

    def commands_with(self, ctx: click.Context, option: str) -> list[str]:
        """The names of the commands that have an option."""
        found = []
        for name in COMMANDS:
            command = self.get_command(ctx, name)
            if command is not None and any(option in (*each.opts, *each.secondary_opts) for each in command.params):
                found.append(name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that ``args`` begin with.

        Raises:
            UsageError: there is none of that name; names the nearest.
        """
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            if name.partition(":")[0].endswith(".flow"):
                raise UsageError(f"there is no command `{name}`", remedy=f"to run it: flowmetal run {name}")
            raise UsageError(
                f"there is no command `{name}`{did_you_mean(name, COMMANDS)}",
                remedy="`flowmetal --help` lists the commands",
            )
        return super().resolve_command(ctx, args)
