"""What a run is allowed: by options, by a trusted project file, and by nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

READS = """
def _reads_impl(fctx):
    return unwrap(fctx.actions.read(fctx.args.path))
reads = flow(_reads_impl, args = {"path": args.string(default = "data/in.txt")})
"""

TRUSTED = '[grants]\nread = ["data"]\n'


@pytest.fixture
def project(cli: Cli) -> Cli:
    """A folder with a flow that reads a file, and a project file that would let it."""
    cli.file("data/in.txt", "hello")
    cli.file("a.flow", READS)
    cli.file("flowmetal.toml", TRUSTED)
    return cli


def test_an_untrusted_project_file_is_inert_and_named(project: Cli) -> None:
    # 57: a cloned repository that grants itself rights
    done = project("run", "a.flow:reads", "--id", "r1")
    path = os.path.realpath(project.folder / "flowmetal.toml")
    assert done.code == 1
    assert f"flowmetal: {path} is not trusted, its grants do not count: flowmetal trust {path}\n" in done.err
    assert "is not granted: add --allow read=" in done.err
    assert project("show", "r1", "--json").json["grants"]["allow"] == []


def test_trust_lets_it_count_until_it_changes(project: Cli) -> None:
    path = os.path.realpath(project.folder / "flowmetal.toml")
    trusted = project("trust")
    assert (trusted.code, trusted.out) == (0, f"allow read={os.path.dirname(path)}/data\n")
    assert trusted.err == f"{path} is trusted as it is now\n"
    done = project("run", "a.flow:reads")
    assert (done.code, done.out, done.err) == (0, "hello\n", "")
    assert project("trust", "--list").out == f"trusted {path}\n"
    project.file("flowmetal.toml", TRUSTED + 'write = ["/"]\n')
    assert project("trust", "--list").out == f"changed {path}\n"
    done = project("run", "a.flow:reads")
    assert done.code == 1
    assert "has changed since it was trusted" in done.err
    assert project("trust", "flowmetal.toml").code == 0
    assert project("run", "a.flow:reads").code == 0
    assert project("trust", "--revoke", ".").err == f"{path} is trusted no more\n"
    assert project("run", "a.flow:reads").code == 1
    assert project("trust", "--list").out == ""


def test_the_projects_root_is_the_nearest_file_upward(project: Cli) -> None:
    project.file("flows/deep/b.flow", READS)
    assert project("trust").code == 0
    assert project("run", "flows/deep/b.flow:reads").out == "hello\n"
    project.file("flows/flowmetal.toml", "[package]\n")
    done = project("run", "flows/deep/b.flow:reads")
    assert done.code == 1
    assert "trusted" not in done.err  # a file without grants is not spoken of


def test_a_link_to_a_trusted_file_grants_nothing(project: Cli) -> None:
    assert project("trust").code == 0
    project.file("stolen/b.flow", READS)
    (project.folder / "stolen" / "flowmetal.toml").symlink_to("../flowmetal.toml")
    done = project("run", "stolen/b.flow:reads", "--", "--path", "data/in.txt")
    assert done.code == 1
    assert "a link is never trusted" in done.err
    assert project("trust", "stolen").code == 2


def test_a_denial_in_the_project_file_holds_against_the_command_line(project: Cli) -> None:
    project.file("flowmetal.toml", '[grants]\ndeny = ["read=data"]\n')
    assert project("run", "a.flow:reads", "--allow", "read=.").code == 0
    assert project("trust").out.startswith("deny read=")
    done = project("run", "a.flow:reads", "--allow", "read=.")
    assert done.code == 1
    assert "wins over every `--allow`" in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[grants]\nreed = []\n", "did you mean `read`"),
        ("[grants]\nread = [", "it is not TOML"),
        ("grants = " + "[" * 50_000, "nested too deeply"),
        ("#" * (1 << 20) + "\n[grants]\n", "more than 1,048,576 bytes"),
    ],
)
def test_a_broken_file_is_not_trusted_and_harms_no_run(project: Cli, content: str, message: str) -> None:
    project.file("flowmetal.toml", content)
    done = project("trust")
    assert done.code == 2
    assert message in done.err
    assert str(Path(os.path.realpath(project.folder)) / "flowmetal.toml") in done.err
    assert project("run", "a.flow:reads", "--allow", "read=data").code == 0


def test_allow_all_says_what_it_means(project: Cli) -> None:
    project.file("flowmetal.toml", "")
    for option in ("-A", "--allow-all"):
        done = project("run", "a.flow:reads", option, "--id", f"all{len(option)}")
        assert (done.code, done.out) == (0, "hello\n")
        assert "everything is allowed: the flow reads and writes all files" in done.err
    allowed = project("show", "all2", "--json").json["grants"]["allow"]
    assert "read=/" in allowed
    assert not [each for each in allowed if each.startswith("secret=")]


def test_what_packages_may_do_is_recorded_with_the_run(project: Cli) -> None:
    options = ["--allow-for", "pkg.example.org/v1/deploy", "net=api.example", "--allow-for", "//lib/x.flow", "none"]
    done = project("run", "--allow", "read=data", *options, "--id", "r1", "a.flow:reads")
    assert (done.code, done.out) == (0, "hello\n")
    shown = project("show", "r1", "--json").json["grants"]
    assert shown["packages"] == {
        "//lib/x.flow": {"allow": [], "deny": []},
        "pkg.example.org/v1/deploy": {"allow": ["net=api.example"], "deny": []},
    }
    assert "pkg.example.org/v1/deploy" in project("show", "r1").out
    # after FILE, in one word with its first value, and asked for again with others
    assert project("run", "a.flow:reads", "--id", "r1", "--allow", "read=data", *options).out == "hello\n"
    options[0] = f"--allow-for={options.pop(1)}"
    assert project("run", "a.flow:reads", "--id", "r1", "--allow", "read=data", *options).out == "hello\n"
    other = project("run", "a.flow:reads", "--id", "r1", "--allow", "read=data")
    assert other.code == 2
    assert "the grants" in other.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--allow", "nett=x"], "did you mean `net`"),
        (["--allow", "exec=no-such-program-anywhere"], "there is no program `no-such-program-anywhere`"),
        (["--allow", "net=https://example.org"], "is a URL"),
        (["--allow", "secret=TOKEN"], "does not say where the secret may go"),
        (["--allow-for", "deploy", "net=a.example"], "`deploy` is no package"),
        (["--allow-for", "x.org/a", "net=a b"], "`--allow-for x.org/a net=a b`: "),
        (["--allow-for", "x.org/a"], "option '--allow-for' requires 2 arguments"),
        (["--allow"], "option '--allow' requires an argument"),
        (["--deny", "net=127.1"], "neither a name nor an address"),
    ],
)
def test_a_wrong_grant_ends_in_words(project: Cli, options: list[str], message: str) -> None:
    done = project("run", "a.flow:reads", *options)
    assert done.code == 2
    assert message in done.err


def test_only_paths_can_be_missing(project: Cli) -> None:
    project.file("flowmetal.toml", "")
    done = project("run", "a.flow:reads", "--allow=read=data", "--allow=read=none", "--allow=net=a.example")
    assert done.code == 0
    assert done.err.count("there is no such file or directory yet") == 1


def test_resume_widens_with_the_whole_vocabulary(project: Cli) -> None:
    project.file("flowmetal.toml", "")
    assert project("run", "a.flow:reads", "--allow", "read=data", "--id", "r1").code == 0
    assert project("resume", "r1", "--allow", "net=a.example").out == "hello\n"
    assert project("resume", "r1", "--allow", "net=127.1").code == 2


def test_a_damaged_list_of_trusted_files_is_told(project: Cli) -> None:
    assert project("trust").code == 0
    (project.home / "trusted.json").write_text("{")
    for command in (("run", "a.flow:reads"), ("trust", "--list"), ("trust",)):
        done = project(*command)
        assert done.code == 3
        assert "trusted.json" in done.err


def test_a_file_must_be_there_to_be_trusted(cli: Cli) -> None:
    (cli.folder / "empty").mkdir()
    assert "cannot be read" in cli("trust", "empty").err
    assert cli("trust", "--list", "x").code == 2
    assert cli("trust", "--revoke", "gone/flowmetal.toml").err.endswith("was not trusted\n")


def test_what_the_command_line_says_of_a_package_is_all_of_it(project: Cli) -> None:
    project.file(
        "flowmetal.toml", TRUSTED + '[grants."//lib/x.flow"]\nread = ["data"]\n[grants."//y.flow"]\nread = ["."]\n'
    )
    assert project("trust").code == 0
    assert project("run", "a.flow:reads", "--id", "r1", "--allow-for", "//lib/x.flow", "none").code == 0
    packages = project("show", "r1", "--json").json["grants"]["packages"]
    assert packages["//lib/x.flow"] == {"allow": [], "deny": []}
    assert len(packages["//y.flow"]["allow"]) == 1


HINTS = """
def _words(fctx):
    return [each.error.message.partition(";")[0] for each in (
        fctx.actions.exec("ls -l"), fctx.actions.exec(["ls -l"]), fctx.actions.read("x", retriess = 3),
    )]

words = flow(_words)
reads = flow(lambda fctx: unwrap(fctx.actions.read("none")))
"""


def test_what_is_nearly_right_is_named(cli: Cli) -> None:
    cli.file("h.flow", HINTS)
    done = cli("run", "h.flow:words", "--allow-for", "//g.flow", "none", "--limit", "call_depth=20")
    assert done.json == [
        'exec takes a list as `argv`, not a value of type str (write ["ls", "-l"])',
        'exec: argv is a list of words: ["ls", "-l"]',
        "read has no argument `retriess`, did you mean `retries`?",
    ]
    assert "--allow-for //g.flow: the program loads no module of this name, did you mean `//h.flow`?" in done.err
    cli.file("deploy.sh", "#!/bin/sh\n")
    (cli.folder / "deploy.sh").chmod(0o755)
    assert "did you mean `./deploy.sh`" in cli("run", "h.flow:words", "--allow", "exec=deploy.sh").err


def test_a_run_that_was_denied_shows_the_way_to_more(cli: Cli) -> None:
    cli.file("h.flow", HINTS)
    assert cli("run", "h.flow:reads", "--id", "h1").code == 1
    assert "with more grants: flowmetal rerun h1 --allow …" in cli("run", "h.flow:reads", "--id", "h1", "-A").err
    planned = cli("plan", "--from", "h1", "h.flow:reads")
    assert (planned.code, "(sample)" in planned.out) == (0, True), "a refusal says nothing of what is there"
