"""``flowmetal answer``: gives a run what it asks a person for."""

from __future__ import annotations

import click

from flowmetal.cli.options import RUN_ID, home_option, quiet_option


@click.command(name="answer")
@click.argument("run_id", metavar="RUN", type=RUN_ID)
@click.argument("text", metavar="[ANSWER]", required=False)
@click.option(
    "--action", "number", metavar="N", type=click.IntRange(min=1), help="Which action's question, if there are several."
)
@home_option
@quiet_option
def command(run_id: str, text: str | None, number: int | None, home: str | None, quiet: bool) -> int:
    """Answer what a run asks; without ANSWER, list its open questions.

    About an action that was interrupted and may have run the answer is `repeat` or `fail`. RUN may be a part of a run.
    A run that a live process drives takes the answer at once; one that nobody drives takes it when it is resumed.
    """
    from flowmetal.cli.answering import answer, list_questions

    if text is None:
        return list_questions(run_id, number, home)
    return answer(run_id, text, number, home, quiet)
