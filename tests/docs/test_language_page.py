"""docs/language.md names every name of the prelude, with its signature, and nothing else."""

from __future__ import annotations

import ast
import re

import pytest

from flowmetal import policy
from flowmetal.actions.registry import STANDARD
from flowmetal.errors import FlowmetalError
from tests.docs.pages import CHECKOUT, DOCS, section, tables

PAGE = DOCS / "language.md"
PRELUDE = CHECKOUT / "prelude"

Definitions = dict[str, ast.expr | ast.FunctionDef]


def definitions(name: str) -> Definitions:
    """What a file of the prelude defines at its top level (Starlark's text is Python's, as far as the prelude goes)."""
    tree = ast.parse((PRELUDE / name).read_text(encoding="utf-8"))
    found: Definitions = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
            if node.name == "make_json":  # which builds the public functions
                found.update({inner.name: inner for inner in node.body if isinstance(inner, ast.FunctionDef)})
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


FILES = {path.name: definitions(path.name) for path in PRELUDE.glob("*.flow")}
MAIN = FILES["prelude.flow"]


def loaded() -> dict[str, tuple[str, str]]:
    """The prelude's own names of what it loads: the file, and the name there."""
    found = {}
    text = (PRELUDE / "prelude.flow").read_text(encoding="utf-8")
    for names in re.findall(r"^load\((.*?)\)$", text, re.MULTILINE | re.DOTALL):
        file = names.split('"')[1].removeprefix("//")
        found.update({mine: (file, theirs) for mine, theirs in re.findall(r'(\w+) = "(\w+)"', names)})
    return found


def text_behind(value: ast.expr | ast.FunctionDef) -> ast.expr | ast.FunctionDef:
    """What a global of the main file is, whichever file of the prelude has its text."""
    if isinstance(value, ast.Name):
        file, target = loaded()[value.id]
        return FILES[file][target]
    return value


def text_of(node: ast.FunctionDef) -> str:
    """The parameters of a function as the page writes them."""
    parts: list[str] = []
    plain = node.args
    defaults = [None] * (len(plain.args) - len(plain.defaults)) + list(plain.defaults)
    for arg, default in zip(plain.args, defaults, strict=True):
        parts.append(_parameter(arg.arg, default))
    if plain.vararg:
        parts.append(f"*{plain.vararg.arg}")
    elif plain.kwonlyargs:
        parts.append("*")
    parts += [_parameter(arg.arg, default) for arg, default in zip(plain.kwonlyargs, plain.kw_defaults, strict=True)]
    if plain.kwarg:
        parts.append(f"**{plain.kwarg.arg}")
    return f"({', '.join(parts)})"


def _effect_text(name: str) -> str:
    effect = STANDARD[name]
    parts = [
        each.name if each.required else f"{each.name} = {each.default!r}".replace("'", '"')
        for each in effect.parameters
    ]
    return f"({', '.join([*parts, *(['*args', '**kwargs'] if effect.is_variadic else [])])})"


def _parameter(name: str, default: ast.expr | None) -> str:
    if default is None:
        return name
    shown = ast.unparse(default)
    shown = "…" if shown == "_REQUIRED" else shown.replace("'", '"')
    return f"{name} = {shown}"


def signatures(name: str, value: ast.expr | ast.FunctionDef, file: str = "prelude.flow") -> dict[str, str]:
    """The public names below a global of the prelude, with their parameters."""
    if isinstance(value, ast.Name):
        if file == "prelude.flow":
            file, target = loaded().get(value.id, (file, value.id))
        else:
            target = value.id
        return signatures(name, FILES[file][target], file)
    if isinstance(value, ast.FunctionDef):
        return {name: text_of(value)}
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "struct":
        found: dict[str, str] = {}
        for keyword in value.keywords:
            found |= signatures(f"{name}.{keyword.arg}", keyword.value, file)
        return found
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "record":
        return {name: f"({', '.join(_field(keyword) for keyword in value.keywords)})"}
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "_make_effect":
        effect = ast.literal_eval(value.args[0])
        return {name: _effect_text(effect)}
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "_make_json":
        return {f"{name}.{each}": text_of(FILES["data.flow"][f"json_{each}"]) for each in ("encode", "decode")}  # type: ignore[arg-type]
    return {name: ""}


def _field(keyword: ast.keyword) -> str:
    value = keyword.value
    is_field = isinstance(value, ast.Call) and ast.unparse(value.func) == "field"
    return f"{keyword.arg} = {ast.unparse(value.args[1])}".replace("'", '"') if is_field else str(keyword.arg)  # type: ignore[attr-defined]


def of_the_prelude() -> dict[str, str]:
    """Every public name with its parameters; the fields of ``effects`` by their own names."""
    found: dict[str, str] = {}
    for name, value in MAIN.items():
        if name.startswith(("_", "flowmetal__")):
            continue
        for full, signature in signatures(name, value).items():
            found[full.removeprefix("effects.")] = signature
    return found


def of_the_page() -> dict[str, str]:
    """Every name of the reference's tables with its parameters."""
    found: dict[str, str] = {}
    for rows in tables(section(PAGE, "## Reference")):
        for first, *_ in rows:
            match = re.fullmatch(r"`([\w.]+)(\(.*\))?`", first)
            assert match, first
            assert match[1] not in found, f"{match[1]} is there twice"
            found[match[1]] = match[2] or ""
    return found


def test_the_page_and_the_prelude_name_the_same() -> None:
    assert set(of_the_page()) == set(of_the_prelude())


@pytest.mark.parametrize("name", sorted(of_the_prelude()))
def test_the_signatures_are_the_same(name: str) -> None:
    assert of_the_page().get(name) == of_the_prelude()[name]


def test_every_public_function_has_a_doc_comment() -> None:
    bare = [
        name
        for name, value in MAIN.items()
        if not name.startswith("_")
        and isinstance(there := text_behind(value), ast.FunctionDef)
        and not ast.get_docstring(there)
    ]
    assert not bare


def test_actions_are_the_fields_of_fctx_actions() -> None:
    node = MAIN["_actions"]
    assert isinstance(node, ast.Call)
    fields = {str(keyword.arg) for keyword in node.keywords}
    named = {
        first.strip("`").partition("(")[0].partition(".")[0]
        for heading in ("### Actions", "### Effects")
        for rows in tables(section(PAGE, heading))
        for first, *_ in rows
    }
    assert named - {"print"} == fields


def test_settings_are_those_that_are_known() -> None:
    (rows,) = tables(section(PAGE, "## A flow"))
    shown = {row[0].strip("`"): row[1] for row in rows}
    assert set(shown) == known("flow") | known("effect")
    assert {name for name, of in shown.items() if "flows" in of} == known("flow")
    assert {name for name, of in shown.items() if "effects" in of} == known("effect")


def known(kind: str) -> set[str]:
    """The settings that are taken for a flow or an effect."""
    found = set()
    for name in sorted({*policy.SETTINGS, "id", "name"}):
        try:
            policy.check_setting_name(name, kind)
            found.add(name)
        except FlowmetalError:
            pass
    return found


def test_kinds_of_failures_are_those_of_the_code() -> None:
    page = section(PAGE, "## Results and failures")
    kinds = {row[0].strip("`") for rows in list(tables(page))[1:] for row in rows}
    from flowmetal.values import Failure

    doc = re.search(r"``kind`` is one of ([a-z,\s]+?)(?:, and what|\.)", Failure.__doc__ or "")
    assert doc
    assert kinds == set(doc[1].replace("\n", " ").replace(" ", "").split(","))


def test_names_from_starlark_exist() -> None:
    """Checked in full by the values of the page; here that no name is in two places."""
    names = set(re.findall(r"`(\w+)`", section(PAGE, "### From Starlark")))
    assert not names & set(of_the_page())
