"""``flowmetal fixture``: a run becomes a test that passes, and holds nothing that is secret."""

from __future__ import annotations

from tests.cli.conftest import Cli

FLOW = """
def _part_impl(fctx, name):
    return len(unwrap(fctx.actions.read(name)))

part = flow(_part_impl)

def _total_impl(fctx):
    parts = [unwrap(it) for it in parallel_map(part, ["a.txt", "b.txt"])]
    missing = fctx.actions.read("none.txt", retries = 1, retry_delay = "10ms").error.message
    again = [unwrap(fctx.actions.read_json("n.json")) for _ in range(2)]
    token = unwrap(fctx.actions.secret("TOKEN")).name
    told = unwrap(fctx.actions.read("said.txt"))
    unwrap(fctx.actions.write("out.txt", told))
    return struct(total = sum(parts) * fctx.args.factor, missing = missing, again = again, token = token)

total = flow(_total_impl, args = {"factor": args.int(default = 1)})

dated = flow(lambda fctx: now())
bad = flow(lambda fctx: fail("no good", at = 3))

if __name__ == "__flow__":
    total(factor = 3)
    dated()
    bad()
"""


GRANTS = ("--allow", "read=.", "--allow", "write=.", "--allow", "secret=TOKEN@example.org", "--quiet")
FILES = {"a.txt": 'one\n"two"\x01', "b.txt": "ß", "n.json": '{"n": [1.5, null]}', "said.txt": "it"}

CHANGED = [
    # what is changed in the file after the run, and why no test can be made of it
    ("bad", "_bad", "is no flow that a test can load"),
    ('"none.txt"', '"other.txt"', 'read("other.txt") was not asked for in the run'),
]


def test_a_run_becomes_a_test(cli: Cli) -> None:
    cli.environment["TOKEN"] = "quite-a-secret-text"
    for name, text in {"etl.flow": FLOW, **FILES}.items():
        cli.file(name, text)
    assert cli("run", "etl.flow", "--id", "r", *GRANTS).code == 1  # `bad` is Err
    assert cli("fixture", "r", "-o", "etl_test.flow").code == 0
    text = cli.text("etl_test.flow")
    assert text.count("def test_") == 3
    assert 'gives = "one\\n\\"two\\"\\x01")' in text
    assert "Not compared, as it is not the same every time" in text.split("def test_dated")[1].split("def ")[0]
    assert "quite-a-secret-text" not in text
    for name in (*FILES, "out.txt"):
        (cli.folder / name).unlink()
    done = cli("test", "--crash-everywhere")
    assert (done.code, "3 passed in " in done.out) == (0, True), done.out
    assert not (cli.folder / "out.txt").exists()
    again = cli("fixture", "r", "-o", "etl_test.flow")
    assert (again.code, again.err.splitlines()[0]) == (2, "error: etl_test.flow exists")
    for old, new, words in CHANGED:
        cli.file("etl.flow", FLOW.replace(old, new))
        refused = cli("fixture", "r")
        assert (refused.code, refused.out) == (2, ""), refused
        assert words in refused.err
