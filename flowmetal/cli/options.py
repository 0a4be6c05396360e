"""Options and kinds of values that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import click

from flowmetal.errors import FlowmetalError, UsageError

RUN_OPTIONS: Final = (
    *("--id", "--allow", "--allow-all", "--allow-for", "--deny", "--on-deny", "--label", "--timeout", "--args"),
    *("--limit", "--frozen", "--no-frozen", "--offline", "--home", "--quiet", "--json", "--help"),
)
"""The long options of ``flowmetal run`` itself, which win over a flow's of the same name."""

F = TypeVar("F", bound=Callable[..., Any])


def home_option(function: F) -> F:
    """Adds ``--home``."""
    text = "Where the journal is. Default: $FLOWMETAL_HOME, else the user's state directory."
    return click.option("--home", metavar="DIR", type=click.Path(file_okay=True), help=text)(function)


def json_option(text: str) -> Callable[[F], F]:
    """Adds ``--json`` with its help text."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def quiet_option(function: F) -> F:
    """Adds ``--quiet``."""
    return click.option(
        "--quiet", "-q", is_flag=True, help="No progress, notices or log lines on stderr; errors are shown."
    )(function)


def allow_option(function: F) -> F:
    """Adds ``--allow``."""
    text = (
        "Allow an effect: read=PATH, write=PATH, net=HOST, exec=PROGRAM, env=NAME, secret=NAME@HOST, call=MODULE, "
        "effect=NAME; may be repeated. Nothing is allowed by default."
    )
    return click.option("--allow", metavar="CLASS=WHAT", multiple=True, help=text)(function)


def grant_options(function: F) -> F:
    """Adds all that allow and deny: ``--allow``, ``--allow-all``, ``--allow-for`` and ``--deny``."""
    deny = click.option(
        "--deny", metavar="CLASS=WHAT", multiple=True, help="Deny an effect within what is allowed; may be repeated."
    )
    allow_all = click.option(
        "-A", "--allow-all", is_flag=True, help="Allow everything but secrets; says on stderr what that means."
    )
    return allow_option(allow_all(allow_for_option(deny(function))))


def allow_for_option(function: F) -> F:
    """Adds ``--allow-for``."""
    return click.option(
        "--allow-for",
        metavar="PACKAGE CLASS=WHAT",
        nargs=2,
        multiple=True,
        help="Allow one loaded package an effect, of what the run is allowed; may be repeated. `none` in its place "
        "allows it nothing.",
    )(function)


def package_options(function: F) -> F:
    """Adds ``--frozen`` and ``--offline``."""
    frozen = click.option(
        "--frozen/--no-frozen",
        default=None,
        help="Load only packages that the lock has, and leave it as it is. Default: when CI is set.",
    )
    return frozen(offline_option(function))


def offline_option(function: F) -> F:
    """Adds ``--offline``."""
    text = "Open no socket for packages: use what is on this machine."
    return click.option("--offline", is_flag=True, help=text)(function)


def limit_option(function: F) -> F:
    """Adds ``--limit``."""
    text = "A limit of the run, such as cpu_seconds=30s or http_body_bytes=64MiB; may be repeated."
    return click.option("--limit", "limits", metavar="NAME=VALUE", multiple=True, help=text)(function)


def many_options(function: F) -> F:
    """Adds ``--all-matching``, ``--dry-run`` and ``--yes``."""
    function = click.option("--yes", "-y", is_flag=True, help="With --all-matching: do not ask first.")(function)
    function = click.option("--dry-run", is_flag=True, help="Only show which runs are meant; nothing is done to them.")(
        function
    )
    return click.option(
        "--all-matching",
        is_flag=True,
        help="Instead of ids: all runs that fit flow=NAME, status=STATUS,…, label.NAME=VALUE.",
    )(function)


class DurationType(click.ParamType):  # type: ignore[type-arg]
    """A length of time such as ``30s`` or ``1h30m``, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds of a text."""
        from flowmetal.settings import parse_duration

        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except UsageError as error:
            self.fail(f"{error.message}: {error.remedy}", param, ctx)


class RunIdType(click.ParamType):  # type: ignore[type-arg]
    """The id of a run; shells complete it."""

    name = "run"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Ids of runs that begin with what was typed; none when the home cannot be read."""
        from flowmetal.cli.reading import newest_roots, open_existing

        try:
            journal = open_existing(ctx.params.get("home"))
            found = newest_roots((each for each in journal.roots() if each.run_id.startswith(incomplete)), 50)
        except FlowmetalError:
            return []
        return [click.shell_completion.CompletionItem(header.run_id, help=header.status) for header in found]


DURATION = DurationType()
RUN_ID = RunIdType()


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    """Labels of ``name=value`` texts.

    Raises:
        UsageError: a text that is not one, or a name given twice.
    """
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals) or not name.isprintable() or not value.isprintable():
            raise UsageError(f"`{text}` is not a label", remedy="write --label name=value")
        if labels.get(name, value) != value:
            raise UsageError(f"the label `{name}` is given twice")
        labels[name] = value
    return labels
