"""The pure helpers, loaded as the worker loads them, without a worker."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import starlark

from flowmetal.language.primitives import PRIMITIVES
from flowmetal.values import from_python

PRELUDE = Path(__file__).parents[2] / "prelude"

_EXTENSIONS = ("StructType", "RecordType", "EnumType", "Map", "Filter", "Typing", "CallStack")
GLOBALS = starlark.Globals.extended_by([getattr(starlark.LibraryExtension, name) for name in _EXTENSIONS])

_CALLERS = """
load("//data.flow", "csv", "make_json")
load("//text.flow", "base64", "pad_left", "pad_right", "sha256", "url_quote", "url_unquote")
load("//numbers.flow", "format_number", "forever", "round", "sum")
load("//time.flow", "seconds", "time")

json = make_json(_host_wire)
_names = {
    "json": json, "csv": csv, "base64": base64, "time": time, "pad_left": pad_left, "pad_right": pad_right,
    "sha256": sha256, "url_quote": url_quote, "url_unquote": url_unquote, "format_number": format_number,
    "forever": forever, "round": round, "sum": sum, "seconds": seconds,
}

def call(name, args, kwargs):
    function = _names[name.split(".")[0]]
    for part in name.split(".")[1:]:
        function = getattr(function, part)
    return function(*args, **kwargs)
"""


def dialect() -> starlark.Dialect:
    """Dialect 1 of flow files."""
    made = starlark.Dialect.extended()
    made.enable_types = starlark.DialectTypes.ENABLE
    made.enable_f_strings = True
    made.enable_top_level_stmt = True
    made.enable_keyword_only_arguments = True
    made.enable_load_reexport = True
    return made


def load(name: str) -> starlark.FrozenModule:
    """A module of the prelude by its file name."""
    return evaluate(name, (PRELUDE / name).read_text(encoding="utf-8"))


def evaluate(
    name: str, text: str, callables: dict[str, Callable[..., object]] | None = None, modules: Any = None
) -> starlark.FrozenModule:
    """A frozen module of Starlark text with the primitives."""
    module = starlark.Module()
    for primitive, function in {**PRIMITIVES, **(callables or {})}.items():
        module.add_callable(f"_host_{primitive}", function)
    loader = starlark.FileLoader(modules or (lambda label: load(label.removeprefix("//"))))
    starlark.eval(module, starlark.parse(name, text, dialect()), GLOBALS, loader)
    return module.freeze()


class Helpers:
    """Calls public helpers by name: ``helpers("csv.parse", text, header=False)``."""

    def __init__(self) -> None:
        self.module = evaluate("callers.flow", _CALLERS, {"wire": from_python})

    def __call__(self, name: str, *args: object, **kwargs: object) -> Any:
        return self.module.call("call", name, list(args), kwargs)

    def expression(self, text: str) -> Any:
        """The value of a Starlark expression over the public helpers."""
        source = f"{_CALLERS}\ndef value():\n    return {text}\n"
        return evaluate("expression.flow", source, {"wire": from_python}).call("value")

    def documented(self) -> dict[str, str]:
        """The Starlark text of each public function, by the name of the function in its file."""
        texts: dict[str, str] = {}
        for name in ("data", "text", "numbers", "time"):
            for block in re.split(r"^(?= *def )", (PRELUDE / f"{name}.flow").read_text(encoding="utf-8"), flags=re.M)[
                1:
            ]:
                texts[f"{name}.{block.split('(')[0].split()[1]}"] = block
        return texts

    def fails(self, name: str, *args: object, **kwargs: object) -> str:
        """The message of the error that a call must end in."""
        with pytest.raises(starlark.StarlarkError) as caught:
            self(name, *args, **kwargs)
        return message_of(caught.value)


def message_of(error: BaseException) -> str:
    """The first line of a Starlark error, without the kinds that the binding puts before it."""
    lines = [line for line in str(error).splitlines() if line.startswith("error: ")]
    text = lines[0].removeprefix("error: ")
    return text.removeprefix("fail: ").removeprefix("PrimitiveError: ")


@pytest.fixture(scope="session")
def helpers() -> Helpers:
    """All public pure helpers."""
    return Helpers()
