"""Every example runs and ends as it should; so does the demo, and what the README shows of it is what it prints."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).absolute().parents[2]
EXAMPLES = CHECKOUT / "examples"
TRIED = {
    "intro.flow",
    "intro/etl.flow",
    "etl/etl.flow",
    "files/archive.flow",
    "python/report.flow",
    "plugin/greet.flow",
    "etl/remote.flow",
    "http/mirror.flow",
    "ddeutil/patterns.flow",
    "wvlet/flows.flow",
    "cobra4/daily.flow",
    "coda/weekly.flow",
}
"""Examples with a test below, or in a file of their own."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, a temporary directory of its own, and ``flowmetal`` on PATH."""
    command = tmp_path / "bin" / "flowmetal"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W error -m flowmetal "$@"\n', encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "tmp").mkdir()
    return {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "FLOWMETAL_HOME": str(tmp_path / "home"),
        "FLOWMETAL_DURABILITY": "os",
        "TMPDIR": str(tmp_path / "tmp"),
    }


def run(environment: dict[str, str], folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_example_is_tried() -> None:
    found = {path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*.flow")}
    # An example's own tests are tried by `flowmetal test`.
    assert {each for each in found if not each.endswith("_test.flow")} == TRIED


def test_intro_fails_by_design(environment: dict[str, str]) -> None:
    done = run(environment, EXAMPLES, "flowmetal", "run", "intro.flow", "--id", "one")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cleanup: cleaned up" in done.stderr
    assert "error: check_once: found 3 results, wanted 5  [failed]" in done.stderr
    tried = run(environment, EXAMPLES, "flowmetal", "log", "one").stdout
    assert tried.count("check_once(") == 3
    assert tried.count("sleep ") == 2


def test_intro_saves_and_reports_when_less_is_wanted(environment: dict[str, str]) -> None:
    done = run(environment, EXAMPLES, "flowmetal", "run", "intro.flow:intro", "--wanted", "3")
    saved, reported = json.loads(done.stdout)
    assert done.returncode == 0
    assert re.fullmatch("saved as [0-9a-f-]{36}", saved)
    assert reported == "3 findings reported"


@pytest.fixture
def etl(tmp_path: Path) -> Path:
    """A copy of the example's folder, to be written into."""
    shutil.copytree(EXAMPLES / "etl", tmp_path / "etl", ignore=shutil.ignore_patterns("*.json", "monthly.csv"))
    return tmp_path / "etl"


def test_etl(environment: dict[str, str], etl: Path) -> None:
    done = run(environment, etl, "flowmetal", "run", "etl.flow", "--allow", "read=data", "--allow", "write=out")
    assert done.returncode == 0, done.stderr
    written = ["out/monthly.csv", "out/report.json"]
    assert json.loads(done.stdout) == {"rows": 1461, "bad_rows": 0, "months": 48, "written": written}
    with (etl / "data/seattle-weather.csv").open(encoding="utf-8") as source:
        days = list(csv.DictReader(source))
    report = json.loads((etl / "out/report.json").read_text(encoding="utf-8"))
    with (etl / "out/monthly.csv").open(encoding="utf-8") as table:
        months = list(csv.DictReader(table))
    assert [month["month"] for month in months] == sorted({day["date"][:7].replace("/", "-") for day in days})
    for month, also in zip(months, report["months"], strict=True):
        of_month = [day for day in days if day["date"].startswith(month["month"].replace("-", "/"))]
        assert int(month["days"]) == also["days"] == len(of_month)
        assert float(month["temp_max"]) == also["temp_max"] == max(float(day["temp_max"]) for day in of_month)
        assert float(month["precipitation_mm"]) == pytest.approx(sum(float(day["precipitation"]) for day in of_month))
    assert [year["days"] for year in report["years"]] == [366, 365, 365, 365]


def test_etl_counts_bad_rows(environment: dict[str, str], etl: Path) -> None:
    table = etl / "data/seattle-weather.csv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[1] = lines[1].replace("2012/01/01", "2012/13/01")
    lines[2] = lines[2].replace("rain", "frogs")
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    grants = ("--allow", "read=data", "--allow", "write=out")
    done = run(environment, etl, "flowmetal", "run", "etl.flow", *grants)
    assert json.loads(done.stdout)["bad_rows"] == 2, done.stderr
    assert '2012/13/01\\" is not a date' in done.stderr
    refused = run(environment, etl, "flowmetal", "run", "etl.flow:etl", "--max-bad", "1", *grants)
    assert refused.returncode == 1
    assert "too many bad rows" in refused.stderr


def without_figures(text: str) -> list[str]:
    """Lines without what differs from one demo to the next."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE", text)
    text = re.sub(r"\d+(\.\d+)?", "N", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]


def test_the_demo_and_what_the_readme_shows_of_it(environment: dict[str, str], tmp_path: Path) -> None:
    done = run(environment, tmp_path, "sh", str(EXAMPLES / "demo.sh"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("demo: ok")
    assert not list((tmp_path / "tmp").iterdir()), "the demo leaves nothing behind"
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"^```demo\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    assert shown
    printed = iter(without_figures(done.stdout))
    for line in without_figures(shown[1]):
        assert line in printed, f"the demo does not print: {line}"


@pytest.mark.torture
def test_the_demo_fails_loudly(environment: dict[str, str], tmp_path: Path) -> None:
    """A resume that leaves another file than the undisturbed run is found out."""
    command = Path(environment["PATH"].partition(os.pathsep)[0]) / "flowmetal"
    real = command.rename(command.with_name("real"))
    liar = f"""#!/bin/sh
[ "$1" = resume ] || exec {real} "$@"
{real} "$@" || exit
for each in "$TMPDIR"/*/out/monthly.csv; do echo more >> "$each"; done
"""
    command.write_text(liar, encoding="utf-8")
    command.chmod(0o755)
    done = run(environment, tmp_path, "sh", str(EXAMPLES / "demo.sh"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "demo: FAILED: monthly.csv differs"
