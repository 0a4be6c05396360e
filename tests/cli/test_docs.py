"""docs/cli.md has every command and every option, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from flowmetal.cli import lazy
from flowmetal.cli.main import cli

CHECKOUT = Path(__file__).absolute().parents[2]
PAGE = (CHECKOUT / "docs" / "cli.md").read_text(encoding="utf-8")
# A command that is listed and not there yet needs no section yet.
LISTED = {
    name: module
    for each in lazy.COMMANDS
    for name, module in [
        (each, lazy.module_of(each)),
        *((f"pkg {inner}", f"pkg_{inner}") for inner in lazy.OF_PACKAGES if each == "pkg"),
    ]
}
COMMANDS = [name for name, module in LISTED.items() if (CHECKOUT / "flowmetal" / "cli" / f"{module}.py").exists()]
SECTIONS = dict(re.findall(r"^## (\S+(?: \S+)?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
OF_PACKAGES = {"--frozen", "--no-frozen", "--offline"}
_OPTION = re.compile(r"(?<![\w-])--?[A-Za-z][a-z-]*")


def options_of(command: click.Command) -> set[str]:
    return {
        name
        for param in command.params
        if isinstance(param, click.Option)
        for name in (*param.opts, *param.secondary_opts)
    }


def described(text: str) -> set[str]:
    """The options in the first column of the tables of a text."""
    cells = re.findall(r"^\| (`-.*?) \|", text, re.MULTILINE)
    return {option for cell in cells for option in _OPTION.findall(cell)}


def command(name: str) -> click.Command:
    found: click.Command = cli
    for part in name.split():
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), part)
        assert inner is not None
        found = inner
    return found


def test_every_command_has_a_section() -> None:
    assert list(SECTIONS) == COMMANDS


def test_the_options_of_flowmetal_itself() -> None:
    head = PAGE.partition("\n## ")[0]
    assert described(head) == options_of(cli) | {"-h", "--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_options(name: str) -> None:
    options = options_of(command(name))
    if options >= OF_PACKAGES:
        # These are told once, with the commands that have them.
        told = re.search(r"^\*\*Packages\.\*\* (.*?) load packages", PAGE, re.MULTILINE | re.DOTALL)
        assert told
        assert f"`{name}`" in told[1]
        options -= OF_PACKAGES
    assert described(SECTIONS[name]) == options


@pytest.mark.parametrize("name", COMMANDS)
def test_usage(name: str) -> None:
    assert f"`flowmetal {name} " in SECTIONS[name]
    assert command(name).help, f"{name} has no help"


def test_event_kinds_and_their_fields() -> None:
    from flowmetal.journal.event_schema import SCHEMAS

    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", SECTIONS["log"], re.MULTILINE))
    assert set(rows) == set(SCHEMAS)
    for kind, schema in SCHEMAS.items():
        for field in schema.types:
            if kind in ("child", "finished") and field in ("value",):
                continue  # "its end as in `result`"
            assert f"`{field}`" in rows[kind], f"{kind}: {field}"


def test_exit_codes() -> None:
    from flowmetal import errors

    codes = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    listed = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for code in cell.split(",")}
    assert codes <= listed
