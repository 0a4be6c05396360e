"""``flowmetal new``: the beginning of a package."""

from __future__ import annotations

from pathlib import Path

import click

from flowmetal.errors import EXIT_OK, UsageError


@click.command(name="new")
@click.argument("name", metavar="NAME")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path())
def command(name: str, folder: str | None) -> int:
    """Begin a package: a manifest, a flow with its test, a README.

    NAME is HOST/PATH, such as pkg.example.org/v1/deploy: where others will find it. DIR is by default the last part of
    the name. Nothing that is there is changed.
    """
    from flowmetal.cli.text import printable
    from flowmetal.package_ids import check_package_id
    from flowmetal.packages.durable import put_file
    from flowmetal.packages.skeleton import skeleton

    if "://" in name:
        raise UsageError(f"`{name}` has a scheme", remedy=f"write flowmetal new {name.partition('://')[2]}")
    if "@" in name:
        raise UsageError(
            f"`{name}` has a version", remedy=f"write flowmetal new {name.partition('@')[0]}; flowmetal.toml has that"
        )
    if "/" not in name and "." in name:
        raise UsageError(
            f"`{name}` is a host without a path",
            remedy=f"write the package's own name behind it: flowmetal new {name}/v1/NAME",
        )
    if "/" not in name:
        raise UsageError(
            f"`{name}` does not say where others find the package",
            remedy=f"write its host and path: flowmetal new pkg.example.org/v1/{name}; the host need not exist yet",
        )
    texts = skeleton(check_package_id(name))
    path = Path(folder if folder is not None else name.rpartition("/")[2])
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(f"{path} is there already", remedy=f"name another folder: flowmetal new {name} DIR")
        for file, text in texts.items():
            put_file(path / file, text.encode("utf-8"))
            print(printable(str(path / file)))
    except OSError as error:
        raise UsageError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    click.echo(printable(f"now: cd {path} && flowmetal test"), err=True)
    return EXIT_OK
