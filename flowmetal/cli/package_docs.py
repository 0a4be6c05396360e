"""The reference of a package as Markdown, out of its manifest, its doc comments, and the flows that it makes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from flowmetal.assembly import carried_package, locate_module
from flowmetal.cli.flow_arguments import describe
from flowmetal.engine.programs import Programs
from flowmetal.engine.table import ProgramState
from flowmetal.errors import UsageError
from flowmetal.language.flows import FlowInfo
from flowmetal.language.outline import Function, Outline, outline
from flowmetal.package_ids import parse_label
from flowmetal.packages.gathering import gather_files
from flowmetal.packages.manifest import Manifest, PackageFacts, exported_files
from flowmetal.packages.preparing import read_package
from flowmetal.settings import Limits


def package_docs(what: str) -> str:
    """The reference of the package in a directory, or of one that is named.

    Raises:
        UsageError: there is none, or it cannot be loaded.
    """
    folder = Path(what) if os.path.isdir(what) else _folder_of(what)
    manifest, facts = read_package(folder)
    files = gather_files(folder)
    parts = [_head(manifest, facts)]
    for path in exported_files(facts, files):
        flows = _flows(folder, facts.name, path)
        parts.append(_module(facts, path, outline(files[path].decode("utf-8", "replace")), flows))
    return "\n\n".join(part for part in parts if part) + "\n"


def _folder_of(label: str) -> Path:
    wanted = parse_label(label)
    folder = carried_package(wanted.package)
    if folder is None:
        raise UsageError(f"there is no directory {label}, and no package of that name comes with Flowmetal")
    return folder


def _flows(folder: Path, package: str, path: str) -> list[FlowInfo]:
    label, sources = locate_module(folder, package, path)

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


def _module(facts: PackageFacts, path: str, text: Outline, flows: list[FlowInfo]) -> str:
    public = [each for each in text.functions if not each.name.startswith("_")]
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
    return "\n\n".join(part for part in parts if part)


def _function(function: Function) -> str:
    signature = f"### `{function.signature}`"
    return f"{signature}\n\n```text\n{function.doc}\n```" if function.doc else signature


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
