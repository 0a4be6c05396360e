"""Effects that the text of a package calls and that its manifest has no permission for."""

from __future__ import annotations

from flowmetal.actions.registry import STANDARD
from flowmetal.packages.own_needs import CLASSES, lacking

LIB = b"""
def _deploy(fctx, path):
    a = fctx.actions
    text = unwrap(a.read(path))
    unwrap(fctx.actions.http.get("https://api.example.org"))
    unwrap(effects.copy(path, "x"))
    unwrap(options(fctx.actions.exec, retries = 3)(["ls"]))
    unwrap(fctx.actions.exec(["ls"]))
    fctx.actions.sleep("1s")
    return text

deploy = flow(_deploy)
"""


def test_each_class_that_nothing_is_permitted_of_is_told_once_with_a_place() -> None:
    files = {"lib.flow": LIB, "lib_test.flow": b"x = effects.write('a', 'b')\n", "README.md": b"effects.write()"}
    assert list(lacking(files, ["net=api.example.org"])) == [
        ("read", "read", "lib.flow:4"),
        ("write", "copy", "lib.flow:6"),
        ("exec", "exec", "lib.flow:7"),
    ]
    assert not list(lacking(files, ["read=.", "write=.", "exec=ls", "net=*"]))


def test_a_name_of_its_own_is_no_effect() -> None:
    text = b"def read(x):\n    return x\n\ny = read(1)\nactions = struct(read = read)\nz = actions.read(2)\n"
    assert not list(lacking({"lib.flow": text}, []))


def test_every_effect_that_needs_a_grant_is_known() -> None:
    assert {name.partition(".")[0] for name in STANDARD} - CLASSES.keys() == {"input", "receive"}
