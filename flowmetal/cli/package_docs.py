"""The reference of a package as Markdown, out of its manifest, its doc comments, and the flows that it makes."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from flowmetal.assembly import carried_package, conduct_of, locate_module, package_places
from flowmetal.cli.flow_arguments import describe
from flowmetal.engine.programs import Programs
from flowmetal.engine.table import ProgramState
from flowmetal.errors import UsageError
from flowmetal.language.flows import FlowInfo
from flowmetal.language.outline import Function, Outline, outline
from flowmetal.package_ids import parse_label
from flowmetal.packages.gathering import gather_files
from flowmetal.packages.late import Conduct
from flowmetal.packages.manifest import Manifest, PackageFacts, exported_files
from flowmetal.packages.preparing import path_of_load, read_package
from flowmetal.packages.release import Release
from flowmetal.packages.visiting import find_release, unfold
from flowmetal.settings import Limits
from flowmetal.trust import find_project


def package_docs(what: str, offline: bool) -> str:
    """The reference of the package in a directory, or of one that is named.

    Raises:
        FlowmetalError: there is none, it cannot be had, or cannot be loaded.
    """
    if os.path.isdir(what):
        return _docs_of(Path(what), conduct_of(offline=offline))
    if "/" not in what:
        raise UsageError(f"there is no directory {what}", remedy="a package is named as in a load: HOST/PATH")
    wanted = parse_label(what)
    carried = carried_package(wanted.package)
    if carried is not None:
        return _docs_of(carried, Conduct())
    project = find_project(os.getcwd())
    root = Path(project).parent if project is not None else Path.cwd()
    release = asyncio.run(find_release(wanted, root, package_places(), offline))
    with tempfile.TemporaryDirectory(prefix="flowmetal-") as folder:
        unfold(release, Path(folder), root)
        return _docs_of(Path(folder), Conduct(offline=offline), release)


def _docs_of(folder: Path, conduct: Conduct, release: Release | None = None) -> str:
    manifest, facts = read_package(folder)
    files: Mapping[str, bytes] = gather_files(folder)
    if release is not None:
        manifest, facts, files = (
            Manifest(permissions=release.permissions, requires=release.requires),
            release.facts,
            release.files,
        )
    parts = [_head(manifest, facts)]
    texts = {path: outline(data.decode("utf-8", "replace")) for path, data in files.items() if path.endswith(".flow")}
    exported = exported_files(facts, files)
    for path in exported:
        # Loaded before its names are followed, so it is known that they lead somewhere.
        flows = _flows(folder, facts.name, path, conduct)
        hidden = {other: text for other, text in texts.items() if other not in exported}
        parts.append(_module(facts, path, texts[path], _functions(path, texts[path], hidden), flows))
    return "\n\n".join(part for part in parts if part) + "\n"


def _functions(path: str, text: Outline, hidden: Mapping[str, Outline]) -> list[Function]:
    """The public functions that a module gives: its own, and what it passes on from ``hidden`` modules, by path."""
    found = [each for each in text.functions if not each.name.startswith("_")]
    for each in text.passed_on:
        there = _find(path_of_load(path, each.load), each.theirs, hidden)
        if there is not None:
            signature = each.name + there.signature.removeprefix(there.name)
            found.append(replace(there, name=each.name, signature=signature, line=each.line))
    return sorted(found, key=lambda each: each.line)


def _find(path: str, name: str, modules: Mapping[str, Outline]) -> Function | None:
    """The function that a module has under a name, by whichever of ``modules`` it is passed on."""
    for _ in modules:
        text = modules.get(path)
        own = next((each for each in text.functions if each.name == name), None) if text else None
        passed = next((each for each in text.passed_on if each.name == name), None) if text else None
        if own is not None or passed is None:
            return own
        path, name = path_of_load(path, passed.load), passed.theirs
    return None


def _flows(folder: Path, package: str, path: str, conduct: Conduct) -> list[FlowInfo]:
    label, sources = locate_module(folder, package, path, conduct)

    async def load() -> ProgramState:
        programs = Programs(lambda *_: None, lambda *_: None, lambda: None)
        try:
            return await programs.load(label, sources, Limits())
        finally:
            programs.close()

    program = asyncio.run(load())
    own = [flow for flow in program.flows.values() if flow.label == label and flow.global_name]
    return sorted((flow for flow in own if not flow.global_name.startswith("_")), key=lambda flow: flow.line)


def _head(manifest: Manifest, facts: PackageFacts) -> str:
    lines = [f"# {facts.name}", f"Version {facts.version}" + (f", {facts.license}" if facts.license else "")]
    if facts.description:
        lines.append(facts.description)
    if manifest.permissions:
        lines.append("Its code may need: " + ", ".join(f"`{each}`" for each in manifest.permissions) + ".")
    if manifest.requires:
        lines.append("It loads: " + ", ".join(f"`{each}` {least}" for each, least in manifest.requires.items()) + ".")
    return "\n\n".join(lines)


def _module(facts: PackageFacts, path: str, text: Outline, public: list[Function], flows: list[FlowInfo]) -> str:
    label = facts.name if path == facts.entry else f"{facts.name}//{path}"
    names = [flow.global_name for flow in flows] + [each.name for each in public]
    shown = ", ".join(f'"{name}"' for name in names[:3]) + (", …" if len(names) > 3 else "")
    parts = [f"## {path}", f'```python\nload("{label}", {shown})\n```' if names else "", text.comment]
    parts += [_flow(flow, text) for flow in flows]
    parts += [_function(each) for each in public]
    return "\n\n".join(part for part in parts if part)


def _flow(flow: FlowInfo, text: Outline) -> str:
    names = ", ".join(argument.name for argument in flow.arguments) if flow.declared else "…"
    parts = [f"### flow `{flow.global_name}({names})`", flow.doc.strip() or text.doc_of(flow.global_name)]
    if flow.arguments:
        rows = [f"| `{argument.name}` | {argument.type} | {_cell(describe(argument))} |" for argument in flow.arguments]
        parts.append("\n".join(["| argument | type | |", "| --- | --- | --- |", *rows]))
    if flow.returns is not None:
        parts.append(f"Returns `{flow.returns.text}`.")
    return "\n\n".join(part for part in parts if part)


def _function(function: Function) -> str:
    signature = f"### `{function.signature}`"
    return f"{signature}\n\n```text\n{function.doc}\n```" if function.doc else signature


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
