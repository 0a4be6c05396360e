"""``flowmetal doctor``: what is here, and whether it works."""

from __future__ import annotations

import json

import click

from flowmetal.cli.options import home_option, json_option


@click.command(name="doctor")
@home_option
@json_option("Print one object.")
def command(home: str | None, as_json: bool) -> int:
    """Show the home, its journal and engines, the folder of secrets, the versions, and whether a worker starts.

    Exit code 3 when something does not work; what it is begins with `!`.
    """
    from flowmetal.cli.diagnosis import diagnose
    from flowmetal.cli.text import printable
    from flowmetal.errors import EXIT_HOME, EXIT_OK

    findings = diagnose(home)
    if as_json:
        print(
            json.dumps(
                {finding.name.replace(" ", "_"): finding.value for finding in findings}, ensure_ascii=False, indent=2
            )
        )
    else:
        for finding in findings:
            print(f"{'!' if finding.is_problem else ' '} {finding.name:<16} {printable(finding.shown)}")
    return EXIT_HOME if any(finding.is_problem for finding in findings) else EXIT_OK
