"""Functions that report.flow calls; they may use any library that is installed."""

import random
from types import SimpleNamespace

from flowmetal import activity

ROWS = 50_000


def summarise(table: str) -> SimpleNamespace:
    """The number of rows of a table, and their mean: a struct for the flow."""
    total = 0.0
    for number, value in enumerate(_rows(table)):
        if number % 10_000 == 0:
            activity.check_cancelled()
            activity.progress(f"row {number:,}")
        total += value
    return SimpleNamespace(table=table, rows=ROWS, mean=round(total / ROWS, 2))


def _rows(table: str) -> list[float]:
    if table not in ("north", "south"):
        raise activity.Failure(f"there is no table {table}", kind="failed", known=["north", "south"])
    numbers = random.Random(table)
    return [numbers.uniform(0, 100) for _ in range(ROWS)]
