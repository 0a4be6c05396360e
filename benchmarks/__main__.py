"""Measures, and prints each figure beside what it is to reach and the machine's limit: ``./dev bench [CASE…]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import CASES, LONG, Row
from benchmarks.peers.compare import Pair, compare
from benchmarks.probes import event_microseconds


def main() -> int:
    """Runs the cases that are asked for; exits 1 if a figure is not reached."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"one of: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="leave out the cases that take a minute")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    parser.add_argument("--peers", action="store_true", help="measure beside DBOS, which is installed for it")
    chosen = parser.parse_args()
    names = chosen.case or [name for name in CASES if not (chosen.quick and name in LONG)]
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}: choose from {', '.join(CASES)}")
    system = f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{system}, {platform.machine()}; a small event is packed and read in {event_microseconds():.2f} us")
    if chosen.peers:
        for pair in compare():
            print(_pair_line(pair), flush=True)
        return 0
    rows: list[Row] = []
    for name in names:
        for row in CASES[name]():
            print(_line(row), flush=True)
            rows.append(row)
    if chosen.json:
        data = [{**asdict(row), "is_reached": row.is_reached} for row in rows]
        Path(chosen.json).write_text(json.dumps(data, indent=2) + "\n")
    return 0 if all(row.is_reached for row in rows) else 1


def _line(row: Row) -> str:
    bound = "≤" if row.at_most else "≥"
    limit = f"   limit {_number(row.limit)} {row.unit} ({row.limit_is})" if row.limit is not None else ""
    mark = "ok  " if row.is_reached else "MISS"
    figure, reach = _number(row.figure), _number(row.reach)
    return f"{mark} {row.case:<11} {row.what:<34} {figure:>10} {row.unit:<4} {bound} {reach:>7}{limit}"


def _pair_line(pair: Pair) -> str:
    ours, theirs = f"{_number(pair.ours)} {pair.unit}", f"{_number(pair.theirs)} {pair.unit}"
    return f"{pair.case:<11} {pair.what:<34} Flowmetal {ours:>9}   DBOS {theirs:>9}   {pair.times_better:,.1f} times"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


sys.exit(main())
