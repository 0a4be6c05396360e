"""``flowmetal pkg serve``: a registry on this machine, to try packages out."""

from __future__ import annotations

from pathlib import Path

import click

from flowmetal.cli.options import quiet_option
from flowmetal.errors import EXIT_OK, UsageError


@click.command(name="serve")
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), default=8090, help="Default 8090; 0: a free one."
)
@quiet_option
def command(folder: str, port: int, quiet: bool) -> int:
    """Serve a directory of packages, as `publish --to DIR` makes it, to this machine and no other.

    Ends with Ctrl-C.
    """
    import asyncio

    from flowmetal.cli.text import printable
    from flowmetal.packages.serving import hosts_in, make_server

    if not Path(folder).is_dir():
        raise UsageError(f"there is no directory {folder}")

    try:
        hosts = hosts_in(Path(folder))
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}") from None

    def log(method: str, path: str, status: int) -> None:
        if not quiet:
            click.echo(printable(f"{status} {method} {path}"), err=True)

    async def serve() -> None:
        server = make_server(Path(folder), log)
        try:
            try:
                there = await server.start(port)
            except OSError as error:
                raise UsageError(
                    f"port {port} cannot be listened on: {error.strerror}", remedy="choose another with --port, or 0"
                ) from None
            for host in hosts or ["HOST"]:
                print(f'[[registry]]\nprefix = "{host}"\nurl = "http://localhost:{there}/"', flush=True)
            await asyncio.Event().wait()
        finally:
            await server.close()

    asyncio.run(serve())
    return EXIT_OK
