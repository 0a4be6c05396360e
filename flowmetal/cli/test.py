"""``flowmetal test``: a package tests itself."""

from __future__ import annotations

from typing import Any

import click

from flowmetal.cli.options import DURATION, json_option, limit_option, package_options

_TIMEOUT_SECONDS = 60.0


@click.command(name="test")
@click.argument("paths", metavar="[PATH[::TEST]]...", nargs=-1, type=click.Path())
@click.option("-k", "keyword", metavar="TEXT", default="", help="Only tests whose FILE::name holds this text.")
@click.option("-x", "--exitfirst", "stop_at_first", is_flag=True, help="Stop at the first test that fails.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each test, not a dot.")
@click.option(
    "--crash-everywhere",
    "crash_everywhere",
    is_flag=True,
    help="End the engine after every event of a test that passes; nothing may become otherwise, nothing be done twice.",
)
@click.option("--junit", "junit_file", metavar="FILE", type=click.Path(), help="Write what came of it as JUnit XML.")
@click.option("--durations", metavar="N", type=click.IntRange(min=0), default=0, help="Show the N slowest tests.")
@click.option(
    "--timeout",
    metavar="DURATION",
    type=DURATION,
    default=_TIMEOUT_SECONDS,
    help="How long one test may take, in real time. Default: 1m.",
)
@limit_option
@package_options
@json_option("Print one object a test, then one of all: what passed, what failed and why.")
def command(**options: Any) -> int:
    """Run the tests of a package: functions `test_…` in files `*_test.flow`.

    Every test runs in a world that is made up: no effect touches anything, each gives what the test says, and time
    passes at once.  PATH is a test file or a directory, by default the working directory.  Exit code 0: all passed;
    1: some did not; 2: there is no test, or a file cannot be loaded.
    """
    from flowmetal.cli.testing import run_tests

    return run_tests(**options)
