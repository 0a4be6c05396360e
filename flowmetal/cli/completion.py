"""``flowmetal completion``: the script by which a shell completes commands, options and run ids."""

from __future__ import annotations

import os
from pathlib import Path

import click

from flowmetal.errors import UsageError

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> int:
    """Print the completion script of a shell; without a name, of $SHELL.

    \b
      bash, in ~/.bashrc:    eval "$(flowmetal completion bash)"
      zsh, in ~/.zshrc:      eval "$(flowmetal completion zsh)"
      fish:                  flowmetal completion fish > ~/.config/fish/completions/flowmetal.fish
    """
    from click.shell_completion import get_completion_class

    chosen = shell or Path(os.environ.get("SHELL", "")).name
    completion = get_completion_class(chosen) if chosen in SHELLS else None
    if completion is None:
        raise UsageError(f"the shell {chosen or '$SHELL'} is not known", remedy=f"name one of {', '.join(SHELLS)}")
    root = ctx.find_root()
    print(completion(root.command, {}, "flowmetal", "_FLOWMETAL_COMPLETE").source())
    return 0
