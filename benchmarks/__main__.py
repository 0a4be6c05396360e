"""Measures, and prints each figure beside what it is to reach and the machine's limit: ``./dev bench [CASE…]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, LONG, Row
from benchmarks.peers.compare import NOTES, PEER_CASES, Pair, about, install
from benchmarks.probes import event_microseconds
from flowmetal import __version__


def main() -> int:
    """Runs the cases that are asked for; exits 1 if a figure is not reached."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("case", nargs="*", help=f"one of: {', '.join(CASES)}")
    parser.add_argument("--quick", action="store_true", help="leave out the cases that take a minute")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    parser.add_argument(
        "--peers",
        action="store_true",
        help=f"measure beside DBOS, which is installed into .venv-peers: {', '.join(PEER_CASES)}",
    )
    chosen = parser.parse_args()
    known = list(PEER_CASES if chosen.peers else CASES)
    names = chosen.case or [name for name in known if not (chosen.quick and name in LONG)]
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"there is no case {unknown[0]!r}: choose from {', '.join(known)}")
    system = f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{system}, {platform.machine()}; a small event is packed and read in {event_microseconds():.2f} us")
    if chosen.peers:
        data, is_reached = _beside_peers(names), True
    else:
        data, is_reached = _beside_limits(names)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(data, indent=2) + "\n")
    return 0 if is_reached else 1


def _beside_limits(names: list[str]) -> tuple[list[dict[str, Any]], bool]:
    rows: list[Row] = []
    for name in names:
        for row in CASES[name]():
            print(_line(row), flush=True)
            rows.append(row)
    return [{**asdict(row), "is_reached": row.is_reached} for row in rows], all(row.is_reached for row in rows)


def _beside_peers(names: list[str]) -> list[dict[str, Any]]:
    install()
    print(f"{os.getloadavg()[0]:.1f} processes wanted to run in the last minute: more than none makes all of it slower")
    print(f"Flowmetal {__version__} on LMDB, synced at every commit; {about()}", flush=True)
    pairs: list[Pair] = []
    for name in names:
        for pair in PEER_CASES[name]():
            print(_pair_line(pair), flush=True)
            pairs.append(pair)
    print(*NOTES, sep="\n")
    return [{**asdict(pair), "times_better": pair.times_better} for pair in pairs]


def _line(row: Row) -> str:
    bound = "≤" if row.at_most else "≥"
    limit = f"   limit {_number(row.limit)} {row.unit} ({row.limit_is})" if row.limit is not None else ""
    mark = "ok  " if row.is_reached else "MISS"
    figure, reach = _number(row.figure), _number(row.reach)
    return f"{mark} {row.case:<11} {row.what:<34} {figure:>10} {row.unit:<4} {bound} {reach:>7}{limit}"


def _pair_line(pair: Pair) -> str:
    ours, theirs = _number(pair.ours), _number(pair.theirs)
    times = f"{_number(pair.times_better)} times" if pair.times_better is not None else ""
    figures = f"Flowmetal {ours:>8} {pair.unit:<2}   DBOS {theirs:>6} {pair.unit:<2} {times:>12}"
    return f"{pair.case:<11} {pair.what:<34} {figures}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


sys.exit(main())
