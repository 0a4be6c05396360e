"""``flowmetal pkg cache``: the packages on this machine."""

from __future__ import annotations

import click

from flowmetal.cli.options import DURATION
from flowmetal.errors import EXIT_HOME, EXIT_OK


@click.command(name="cache")
@click.argument("what", metavar="[ls|verify|gc]", default="ls", type=click.Choice(("ls", "verify", "gc")))
@click.option(
    "--unused",
    metavar="DURATION",
    type=DURATION,
    default="30d",
    show_default=True,
    help="With gc: remove what was not used for so long.",
)
def command(what: str, unused: float) -> int:
    """List the packages that are kept on this machine, read them all again, or remove those that nobody used.

    Damaged entries are named, with exit code 3; they are fetched again when they are needed.
    """
    from flowmetal.assembly import package_places
    from flowmetal.cli.text import printable, rfc3339
    from flowmetal.packages.cache import Cache
    from flowmetal.packages.release import release_of

    cache = Cache(package_places().cache)
    if what == "gc":
        files, size = cache.collect(unused)
        print(f"removed {files:,} files of {size:,} bytes")
        return EXIT_OK
    if what == "verify":
        count, damaged = cache.verify()
        for path in damaged:
            print(printable(f"damaged: {path}"))
        print(f"{count:,} entries, {len(damaged):,} damaged")
        return EXIT_HOME if damaged else EXIT_OK
    for tree, size_bytes, used in sorted(cache.trees(), key=lambda each: each[2]):
        inside = cache.tree(tree)
        about = release_of(inside).facts if inside is not None else None
        name = f"{about.name} {about.version}" if about is not None else "damaged"
        print(printable(f"{rfc3339(int(used * 1_000))}  {tree}  {size_bytes:>9,}  {name}"))
    return EXIT_OK
