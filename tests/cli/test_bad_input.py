"""What bad input gets: a named error with place and remedy, the right exit code, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from flowmetal.journal import meta
from tests.cli.conftest import Cli

GREET = """
def _greet_impl(fctx):
    return "hello " + fctx.args.name * fctx.args.times

greet = flow(_greet_impl, args = {"name": args.string(doc = "whom"), "times": args.int(default = 1, min = 1)})

def _plain_impl(fctx):
    return 1

plain = flow(_plain_impl)

if __name__ == "__flow__":
    greet("you")
"""


@pytest.fixture
def home(cli: Cli) -> Cli:
    """A home with one run, ``one``."""
    cli.file("greet.flow", GREET)
    assert cli("run", "greet.flow", "--id", "one").code == 0
    return cli


BAD_FILES = {
    "syntax error": ("def f() pass\n", ["--> bad.flow:1:9", "def f() pass"]),
    "unknown name": ("x = 1\ny = lenn([])\n", ["`lenn`", "--> bad.flow:2:5"]),
    "unknown setting": ("def _f_impl(fctx):\n    pass\n\nf = flow(_f_impl, nmae = 1)\n", ["nmae", "bad.flow:4"]),
    "no such module": ('load("./ohter.flow", "x")\n', ["ohter.flow"]),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_loaded(cli: Cli, case: str) -> None:
    text, expected = BAD_FILES[case]
    done = cli("run", cli.file("bad.flow", text))
    assert (done.code, done.out) == (2, "")
    for part in ["error: ", *expected]:
        assert part in done.err


def test_a_file_that_is_not_utf_8(cli: Cli) -> None:
    (cli.folder / "bad.flow").write_bytes(b"x = 1\n# \xff\n")
    done = cli("run", "bad.flow")
    assert done.code == 2
    assert "not UTF-8: byte 0xff in line 2" in done.err
    assert "bad.flow:2" in done.err
    assert "save the file as UTF-8" in done.err


def test_a_file_that_is_not_there(cli: Cli) -> None:
    cli.file("greet.flow", GREET)
    done = cli("run", "gret.flow")
    assert (done.code, done.err) == (2, "error: there is no file gret.flow, did you mean `greet.flow`?\n")


def test_a_file_that_is_no_flow_file(cli: Cli) -> None:
    done = cli("run", cli.file("greet.txt", "x = 1"))
    assert done.code == 2
    assert "not a .flow file" in done.err


@pytest.mark.parametrize("guard", ["__flow___", "__main__"])
def test_a_file_whose_guard_is_never_true(cli: Cli, guard: str) -> None:
    done = cli("run", cli.file("greet.flow", GREET.replace("__flow__", guard)))
    assert done.code != 0
    assert done.out == ""
    for part in (f'"{guard}"', "starts nothing", "flowmetal run greet.flow:greet", "greet.flow:12"):
        assert part in done.err


def test_a_file_that_starts_nothing(cli: Cli) -> None:
    done = cli("run", cli.file("greet.flow", GREET.partition("if __name__")[0]))
    assert done.code != 0
    assert "starts nothing" in done.err
    assert "flowmetal run greet.flow:greet" in done.err
    assert "starts nothing" in cli("run", cli.file("empty.flow", "x = 1\n")).err


def test_a_flow_that_is_not_there(cli: Cli) -> None:
    cli.file("greet.flow", GREET)
    done = cli("run", "greet.flow:gret")
    assert done.code == 2
    assert "greet.flow has no flow `gret`, did you mean `greet`?" in done.err
    assert "flowmetal run greet.flow:greet --name TEXT" in done.err
    assert "flowmetal run greet.flow:plain" in done.err
    assert "names no flow after the colon" in cli("run", "greet.flow:").err


ARGUMENTS = {
    "misspelt": (["--nmae", "x"], "greet.flow:greet has no argument `--nmae`, did you mean `--name`?"),
    "missing": ([], "greet.flow:greet needs the argument `name` (string)"),
    "of another type": (["--name", "x", "--times", "two"], "the argument `times` must be an int, not 'two'"),
    "out of bounds": (["--name", "x", "--times", "0"], "the argument `times` must be at least 1, not 0"),
    "without a value": (["--name"], "--name needs a value"),
    "without a name": (["--name", "x", "y"], "`y` belongs to no option"),
    "twice": (["--name", "x", "--name", "y"], "--name is given twice"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_a_wrong_argument(cli: Cli, case: str) -> None:
    cli.file("greet.flow", GREET)
    tokens, message = ARGUMENTS[case]
    done = cli("run", "greet.flow:greet", *tokens)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}\n")
    assert "`flowmetal run greet.flow:greet --help`" in done.err


def test_arguments_for_who_takes_none(cli: Cli) -> None:
    cli.file("greet.flow", GREET)
    undeclared = cli("run", "greet.flow:plain", "--size", "3")
    assert undeclared.code == 2
    assert "declares no arguments" in undeclared.err
    assert 'args = {"size": args.string()}' in undeclared.err
    body = cli("run", "greet.flow", "--name", "x")
    assert body.code == 2
    assert "the body of greet.flow takes no arguments" in body.err
    assert "flowmetal run greet.flow:greet" in body.err


FILES = {
    "no such file": (None, "--args args.json cannot be read"),
    "not JSON": ('{"name": "x",', "--args args.json is not JSON"),
    "no object": ("[1]", "--args args.json holds no object"),
    "another type": ('{"name": 3}', "the argument `name` must be a string, not 3 (int)"),
    "unknown": ('{"nmae": "x"}', "greet.flow:greet has no argument `nmae`, did you mean `name`?"),
    "too deep": ("[" * 100_000, "--args args.json is not JSON"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_wrong_file_of_arguments(cli: Cli, case: str) -> None:
    cli.file("greet.flow", GREET)
    text, message = FILES[case]
    if text is not None:
        cli.file("args.json", text)
    done = cli("run", "greet.flow:greet", "--args", "args.json")
    assert done.code == 2
    assert f"error: {message}" in done.err


OPTIONS = {
    "command": (["rnu", "greet.flow"], "there is no command `rnu`, did you mean `run`?"),
    "file for a command": (["greet.flow"], "there is no command `greet.flow`"),
    "option": (["ps", "--jsno"], "there is no option `--jsno`, did you mean `--json`?"),
    "option before FILE": (["run", "--qiet", "greet.flow"], "there is no option `--qiet`, did you mean `--quiet`?"),
    "missing": (["run"], "missing argument 'FILE[:FLOW]'"),
    "duration": (["run", "greet.flow", "--timeout", "3x"], "invalid value for '--timeout'"),
    "label": (["run", "greet.flow", "--label", "x"], "`x` is not a label"),
    "id": (["run", "greet.flow", "--id", "a b"], "'a b' cannot be a run id"),
    "grant": (["run", "greet.flow", "--allow", "raed=."], "there is no class of effects `raed`, did you mean `read`?"),
    "grant without a directory": (["run", "greet.flow", "--allow", "read"], "`--allow read` names no path"),
    "no run to resume": (["resume"], "no run is named"),
    "watch one": (["resume", "x", "--watch"], "--watch is for all runs of a home"),
    "status": (["ps", "--status", "done"], "invalid value for '--status'"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_a_wrong_command_line(cli: Cli, case: str) -> None:
    cli.file("greet.flow", GREET)
    args, message = OPTIONS[case]
    done = cli(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}")
    assert "help: " in done.err


@pytest.mark.parametrize("command", ["log", "show", "resume", "cancel", "export"])
def test_a_run_that_is_not_there(home: Cli, command: str) -> None:
    done = home(command, "onne")
    assert done.code == 2
    there = f"there is no run `onne` in {home.home}, did you mean `one`?"
    assert done.err == f"error: {there}\n  help: `flowmetal ps` lists them\n"
    given = home(command, "onne", "--home", str(home.home))
    assert given.err.endswith(f"help: `flowmetal ps --home {home.home}` lists them\n")


def test_an_option_before_the_command(home: Cli) -> None:
    done = home("--home", "x", "run", "f.flow")
    assert done.err.startswith("error: `--home` comes after the command\n")
    assert "there is no option" in home("--hoome", "x", "run", "f.flow").err


def test_a_home_that_is_not_there(cli: Cli) -> None:
    done = cli("log", "one")
    assert done.code == 3
    assert f"there is no journal in {cli.home}" in done.err
    assert cli("ps").code == 0


def test_a_home_that_cannot_be_written(cli: Cli) -> None:
    cli.file("greet.flow", GREET)
    cli.file("occupied", "")
    done = cli("run", "greet.flow", "--home", "occupied/home")
    assert done.code == 3
    assert "the home cannot be used: Not a directory" in done.err
    assert "occupied/home" in done.err
    assert "--home" in done.err


def damage(home: Path, table: str, key: bytes, value: bytes) -> None:
    """Writes bytes where a table keeps its own."""
    with lmdb.open(str(home / "journal"), max_dbs=16, map_size=1 << 40) as environment:
        database = environment.open_db(table.encode(), create=False)
        with environment.begin(write=True) as transaction:
            assert transaction.get(key, db=database) is not None
            transaction.put(key, value, db=database)


def test_a_damaged_event(home: Cli) -> None:
    damage(home.home, "events", b"one\0" + bytes(7) + b"\1", b"\1\2\3\4garbage")
    for command in (["log", "one"], ["log", "one", "--json"], ["show", "one"]):
        done = home(*command)
        assert done.code == 3, command
        assert "damaged" in done.err
        assert "events one #1" in done.err
    verify = home("verify")
    assert verify.code == 3
    assert "events one #1" in verify.out
    assert home("ps").code == 0


def test_a_file_that_is_no_journal(home: Cli) -> None:
    data = home.home / "journal" / "data.mdb"
    data.write_bytes(b"neither one nor the other" * 1_000)
    done = home("run", "greet.flow")
    assert done.code == 3
    assert "error: the journal's file is damaged" in done.err
    assert "restore the home from a copy, or move it away" in done.err


def test_a_journal_of_a_newer_format(home: Cli) -> None:
    damage(home.home, "meta", b"format", meta.format_record(meta.FORMAT + 1, 0))
    for command in (["run", "greet.flow"], ["ps"], ["doctor"]):
        done = home(*command)
        assert done.code == 3
        assert f"of format {meta.FORMAT + 1}" in done.out + done.err
        assert "upgrade flowmetal" in done.out + done.err


def test_a_file_that_was_not_exported(home: Cli) -> None:
    assert "cannot be read" in home("import", "nothing.flowrun").err
    (home.folder / "bad.flowrun").write_bytes(b"FLOWMETAL-RUN\n\1" + bytes(40))
    done = home("import", "bad.flowrun")
    assert done.code == 3
    assert "cannot be imported" in done.err


INTERRUPTED = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""


@pytest.mark.parametrize("module", ["click", "platformdirs", "lmdb"])
@pytest.mark.parametrize("command", [["run", "greet.flow"], ["resume", "--all", "--watch"], ["log", "one"]])
def test_ctrl_c_in_the_middle_of_an_import(cli: Cli, command: list[str], module: str) -> None:
    """Python would show a traceback of the import, or lose the signal where exceptions are ignored."""
    cli.file("greet.flow", GREET)
    cli.environment["PYTHONPATH"] = f"{cli.folder}{os.pathsep}{cli.environment['PYTHONPATH']}"
    cli.file(f"{module}.py", INTERRUPTED)
    done = cli.anew(*command)
    assert (done.code, done.out, done.err) == (130, "", "")


@pytest.mark.parametrize("command", [["run", "PATH"], ["run", "greet.flow"], ["ps", "--home", "rel"], ["resume", "x"]])
def test_a_working_directory_that_is_no_more(cli: Cli, command: list[str]) -> None:
    """The shell still stands in it."""
    path = str(cli.folder / cli.file("greet.flow", GREET))
    words = [path if word == "PATH" else word for word in command]
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    line = ["sh", "-c", script, "sh", sys.executable, "-m", "flowmetal", *words]
    done = subprocess.run(line, cwd=cli.folder, env=cli.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: the working directory cannot be used: No such file or directory\n")
    assert "change into one that exists" in done.stderr


def test_a_program_is_checked_and_listed_from_a_directory_that_is_no_more(cli: Cli) -> None:
    path = str(cli.folder / cli.file("greet.flow", GREET))
    for command in ("check", "flows"):
        script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
        line = ["sh", "-c", script, "sh", sys.executable, "-m", "flowmetal", command, path]
        done = subprocess.run(line, cwd=cli.folder, env=cli.environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


UNHOLDABLE = {
    "home": (["ps", "--home", "\udcff"], "the home '\\udcff' is not a path in UTF-8"),
    "file": (["run", "\udcff.flow"], "the file '\\udcff.flow' is not a path in UTF-8"),
    "surrogate": (["run", "f.flow:f", "--j", '"\\ud800"'], "a lone surrogate"),
    "float": (["run", "f.flow:f", "--j", "[1e999]"], "the argument `j` must be JSON: 1e999 is larger than any float"),
    "digits": (["run", "f.flow:f", "--n", "9" * 5_000], "must be an int of at most 4,096 digits, not of 5,000"),
    "digits in JSON": (["run", "f.flow:f", "--j", "9" * 5_000], "an int has 5,000 digits, and 4,096 are the most"),
    "file of a surrogate": (["run", "f.flow:f", "--args", "surrogate.json"], "a lone surrogate"),
    "file of a float": (["run", "f.flow:f", "--args", "float.json"], "-1e400 is larger than any float"),
}


@pytest.mark.parametrize("case", UNHOLDABLE)
def test_what_no_journal_can_hold(cli: Cli, case: str) -> None:
    text = "def _f_impl(fctx):\n    pass\n\n"
    cli.file("f.flow", text + 'f = flow(_f_impl, args = {"j": args.any(default = 1), "n": args.int(default = 1)})\n')
    cli.file(os.fsdecode(b"\xff.flow"), GREET)
    cli.file("surrogate.json", '{"j": "\\ud800"}')
    cli.file("float.json", '{"j": -1e400}')
    command, message = UNHOLDABLE[case]
    done = cli(*command)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err) < 500


def test_an_emptied_journal_is_no_new_home(home: Cli) -> None:
    data = home.home / "journal" / "data.mdb"
    data.write_bytes(b"")
    for command in (["ps"], ["run", "greet.flow"], ["log", "one"], ["doctor"]):
        done = home(*command)
        assert "the journal's file is empty" in done.out + done.err
        assert done.code == 3
    assert data.stat().st_size == 0


@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.torture)])
def test_damaged_pages_are_damage(home: Cli, every: int) -> None:
    """One after the other, the heads of pages of the tables are overwritten; whatever comes of it is named."""
    data = home.home / "journal" / "data.mdb"
    intact = data.read_bytes()
    noticed = 0
    for page in range(2, len(intact) // 4_096, every):
        at = page * 4_096
        data.write_bytes(intact[: at + 8] + b"\xff" * 8 + intact[at + 16 :])
        done = home("show", "one")
        assert done.code in (0, 3), (page, done)
        if done.code:
            noticed += 1
            assert "damaged" in done.err, (page, done.err)
            assert "help: restore the home from a copy" in done.err
    assert noticed > 2


def test_a_page_that_ends_the_process_that_reads_it(cli: Cli) -> None:
    """LMDB aborts where the next leaf is none; ``verify`` is there to say so, whatever is damaged."""
    cli.file(
        "lines.flow",
        'if __name__ == "__flow__":\n    for n in range(400):\n        print("line", n)\n        random()\n',
    )
    assert cli("run", "lines.flow", "--id", "one", "--quiet").code == 0
    data = cli.home / "journal" / "data.mdb"
    intact = data.read_bytes()
    is_leaf = b"\2\0"
    leaves = [at for at in range(8_192, len(intact), 4_096) if intact[at + 10 : at + 12] == is_leaf]
    for at in leaves:
        data.write_bytes(intact[: at + 10] + b"\xc8\x96" + intact[at + 12 :])
        done = cli("verify")
        assert done.code in (0, 3), (at, done)
        if "LMDB gave up in the middle of it (SIGABRT)" in done.err:
            assert "help: restore the home from a copy" in done.err
            return
    raise AssertionError(f"none of {len(leaves)} leaves brought LMDB to an end: damage them in another way")


def test_a_fault_of_our_own_is_one_line(cli: Cli) -> None:
    cli.file("greet.flow", GREET)
    cli.environment["PYTHONPATH"] = f"{cli.folder}{os.pathsep}{cli.environment['PYTHONPATH']}"
    cli.file("platformdirs.py", "raise RuntimeError('broken')")
    done = cli.anew("ps")
    assert done.code == 5
    assert done.err.startswith("error: RuntimeError: broken\n")
    assert "--debug" in done.err
    process = cli.start("ps", "--debug")
    assert "Traceback" in process.communicate(timeout=30)[1]
    assert process.returncode == 5
