"""``flowmetal publish``: puts a package where others load it from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowmetal.cli.options import json_option
from flowmetal.errors import EXIT_OK, EXIT_RUN_FAILED, UsageError

if TYPE_CHECKING:
    from flowmetal.packages.preparing import Prepared
    from flowmetal.packages.publishing import Published


@click.command(name="publish")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path())
@click.option("--to", metavar="DIR", required=True, type=click.Path(), help="The registry: a directory of packages.")
@click.option("--bare", is_flag=True, help="DIR of --to is this one package's own place, such as a checkout.")
@click.option("--dry-run", is_flag=True, help="Check all and show what would be published, and write nothing.")
@json_option("Print one object: package, version, tree, new, previous, added, removed, files, size, warnings.")
def command(folder: str, to: str, bare: bool, dry_run: bool, as_json: bool) -> int:
    """Publish the package in DIR, by default the one here, as files that any web server can carry.

    Checks first that all its modules load and are well, as `flowmetal check` does, and that its exports are there. A
    version that is published never changes: publishing other files under it is an error, and the same ones is none.
    Exit code 1 when something was found in a module.
    """
    from datetime import UTC, datetime

    from flowmetal.assembly import locate_module
    from flowmetal.cli.findings import check_programs
    from flowmetal.cli.text import json_text, printable
    from flowmetal.packages.gathering import MANIFEST, gather_files
    from flowmetal.packages.own_needs import lacking
    from flowmetal.packages.preparing import prepare, read_package
    from flowmetal.packages.publishing import base_in, plan, publish
    from flowmetal.packages.secret_looks import secret_looks
    from flowmetal.settings import Limits

    path = Path(folder)
    name = read_package(path)[1].name
    base = base_in(Path(to), name, bare=bare)
    apart = [base / "flowmetal", Path(to)]
    prepared = prepare(path, apart)
    found = check_programs([locate_module(path, name, each) for each in prepared.roots()], Limits())
    for each in found:
        click.echo("\n".join(each.lines()), err=True)
    if found:
        return EXIT_RUN_FAILED
    if gather_files(path, apart) != prepared.files:
        raise UsageError(f"the files of {folder} changed while they were checked", remedy="publish again")
    warnings = [f"{file}:{line} looks like {what}" for file, line, what in secret_looks(prepared.files)]
    for replaced in prepared.manifest.replace:
        warnings.append(f"it was checked with what replaces {replaced} here, and others load it without")
    for needed, effect, place in lacking(prepared.files, prepared.manifest.permissions):
        warnings.append(
            f"`{effect}` ({place}) needs a permission of the class {needed}, and [permissions] in {MANIFEST} has none: "
            "it will be refused to whoever loads this"
        )
    warnings += _lacking(path, prepared)
    for warning in warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        published = plan(prepared, base, now) if dry_run else publish(prepared, base, now)
    except OSError as error:
        raise UsageError(f"{error.filename or base} cannot be written: {error.strerror}") from None
    if as_json:
        print(json_text({**_data(prepared, published), "warnings": warnings, "dry_run": dry_run}))
        return EXIT_OK
    for line in _lines(prepared, published):
        print(printable(line))
    if dry_run:
        click.echo("nothing was published", err=True)
    else:
        what = "published to" if published.is_new else "was published already to"
        click.echo(printable(f"{what} {base}"), err=True)
    return EXIT_OK


def _lacking(folder: Path, prepared: Prepared) -> list[str]:
    """What packages that it requires may need, and it may not: an effect needs leave for every package that calls."""
    import asyncio

    from flowmetal.assembly import locate_module
    from flowmetal.package_graph import Request
    from flowmetal.packages.ceilings import beyond

    requests = [Request(package, "") for package in prepared.manifest.requires]
    source = locate_module(folder, prepared.facts.name, prepared.facts.entry)[1].packages
    if not requests or source is None:
        return []
    members = asyncio.run(source.resolve(requests)).members
    found = []
    for package in prepared.manifest.requires:
        more = beyond(prepared.manifest.permissions, members[package].permissions) if package in members else []
        if more:
            found.append(
                f"{package} may need {', '.join(more)}, which [permissions] here lacks: what is called of it from here "
                "may not do that"
            )
    return found


def _data(prepared: Prepared, published: Published) -> dict[str, object]:
    document = published.document
    return {
        "package": document.package,
        "version": str(document.version),
        "tree": document.tree,
        "new": published.is_new,
        "previous": str(published.previous) if published.previous is not None else None,
        "added": list(published.added),
        "removed": list(published.removed),
        "files": sorted(prepared.files),
        "size": document.archive.size,
    }


def _lines(prepared: Prepared, published: Published) -> list[str]:
    from flowmetal.cli.text import show_bytes

    document = published.document
    archive = document.archive
    lines = [
        f"{document.package} {document.version}",
        f"  tree      {document.tree}",
        f"  archive   {archive.files} files, {show_bytes(archive.unpacked)}, packed {show_bytes(archive.size)}",
        f"  exports   {', '.join(document.exports)}",
    ]
    if document.requires:
        required = ", ".join(f"{package} {least}" for package, least in document.requires.items())
        lines.append(f"  requires  {required}")
    since = f"since {published.previous}" if published.previous is not None else "the first version"
    kept = [each for each in document.permissions if each not in published.added]
    rows = [f"+ {each}" for each in published.added] + [f"- {each}" for each in published.removed]
    rows += [f"  {each}" for each in kept]
    if not rows:
        lines.append("  may need  nothing")
    for row in rows:
        lines.append(f"  may need  {row}" + (f"  ({since})" if row[0] != " " else ""))
    return lines
