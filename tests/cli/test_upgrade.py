"""``flowmetal upgrade`` as a person uses it."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cli, Here, until

NAP = """
def _step(fctx, n):
    fctx.actions.sleep("1h" if n == 2 else "1ms")
    return n

step = flow(_step)

def _main(fctx):
    unwrap(fctx.actions.append("log.txt", "begun\\n"))
    return [unwrap(step(n)) for n in range(3)]

main = flow(_main)

if __name__ == "__flow__":
    main()
"""


@pytest.fixture
def killed(cli: Cli, here: Here) -> Cli:
    """A run ``nap`` of ``nap.flow`` whose process was killed in the sleep of its third step."""
    cli.file("nap.flow", NAP)
    process = cli.start("run", "nap.flow", "--id", "nap", "--allow", "write=.")
    until(lambda: "nap.1.4" in here("log", "nap", "--json").out)
    busy = here("upgrade", "nap", "nap.flow", "--dry-run")
    assert (busy.code, busy.out) == (3, "nap a live engine drives it\n")
    assert "Ctrl-C loses nothing" in busy.err
    process.kill()
    process.communicate()
    return cli


def test_it_moves_explains_or_leaves(killed: Cli, here: Here) -> None:
    assert here("upgrade", "nap", "nap.flow").out == "nap has this code already\n"
    killed.file("other/nap.flow", NAP.replace("return n", "return -n"))
    others = here("upgrade", "--all", "other/nap.flow")
    assert (others.code, others.out) == (0, "")
    assert "1 unfinished of other files of this name: name them to move them" in others.err
    killed.file("nap.flow", NAP.replace('"begun', '"begun anew'))
    differs = here("upgrade", "--all", "nap.flow")
    assert differs.code == 4
    assert differs.out.splitlines()[0].split() == ["RUN", "RESULT", "FLOW", "NOTE"]
    assert differs.out.splitlines()[1].split()[:3] == ["nap", "differs", "nap.flow"]
    assert differs.out.split("\n\n")[1].splitlines() == [
        "nap: main (nap.1): action #1 is another one",
        '  it had asked for: do append("log.txt", "begun\\n")',
        "  --> nap.flow:9",
        "  |",
        '9 |     unwrap(fctx.actions.append("log.txt", "begun\\n"))',
        "  |",
        '  the new code asks for: do append("log.txt", "begun anew\\n")',
        "  --> nap.flow:9",
        "  |",
        '9 |     unwrap(fctx.actions.append("log.txt", "begun anew\\n"))',
        "  |",
        *differs.out.splitlines()[-1:],
    ]
    assert "help: leave what it has done as it was" in differs.out
    killed.file("nap.flow", "x = ")
    broken = here("upgrade", "nap", "nap.flow")
    assert (broken.code, "--> nap.flow:1" in broken.err) == (2, True)
    killed.file("nap.flow", NAP.replace("return n", "return -n"))
    assert here("upgrade", "nap", "nap.flow", "--dry-run").out == "nap would go on with the new code\n"
    moved = here("upgrade", "nap", "nap.flow", "--json")
    assert [(each["run"], each["result"], each["replayed"]) for each in moved.lines] == [("nap", "moved", 3)]
    shown = here("show", "nap", "--json").json
    assert shown["program"] == moved.lines[0]["program"]
    last = json.loads(here("log", "nap", "--json").out.splitlines()[-1])
    assert (last["kind"], last["file"]) == ("code_changed", str(killed.folder / "nap.flow"))
    assert dict(last["program"])["//nap.flow"] in shown["code"].values()
    assert "goes on with other code from here" in here("log", "nap").out
    assert killed("verify").code == 0


REFUSED = [
    (["nap.flow"], "no run is named"),
    (["nap.flow", "nap"], "the file comes last"),
    (["nap"], "no file is named after the run `nap`"),
    (["nap", "nap.flow", "--all"], "runs are named and --all is given"),
    (["none", "nap.flow"], "there is no run `none`"),
    (["nap", "other.flow"], "there is no file other.flow"),
    (["nap.1", "nap.flow"], "is part of a run"),
    (["nap", "nap.flow"], "`flowmetal rerun nap`"),
]


def test_what_cannot_be_is_told(cli: Cli, here: Here) -> None:
    cli.file("nap.flow", NAP.replace('"1h" if n == 2 else', ""))
    assert here("run", "nap.flow", "--id", "nap", "--allow", "write=.").code == 0
    for args, words in REFUSED:
        done = here("upgrade", *args)
        assert done.code == 2, done.err
        assert words in done.err
    none = here("upgrade", "--all", "nap.flow")
    assert (none.code, "no unfinished runs of nap.flow" in none.err) == (0, True)
