"""A small HTTP server for this machine only: it answers GET and HEAD, out of what one function finds.

It listens on loopback, and answers only who calls it by a name of this machine: a page from elsewhere, whose own name
was made to lead here, gets nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

_NAMES: Final = ("localhost", "127.0.0.1")
_ADDRESS: Final = "127.0.0.1"
# What is no HTTP is answered with 400; who runs the server is not shown a traceback for it.
_SILENT: Final = logging.Logger("silent", logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a path: ``etag`` stands for these very bytes; what is ``immutable`` need not be asked for again."""

    data: bytes
    content_type: str
    etag: str
    immutable: bool


class LocalServer:
    """Serves on loopback.

    Args:
        find: what is at a path, which begins with a slash and is as it was sent; None if nothing is.
        log: is told of each answer: method, path and status.
    """

    def __init__(self, find: Callable[[str], Found | None], log: Callable[[str, str, int], None]) -> None:
        self._find = find
        self._log = log
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int) -> int:
        """Begins to listen; the port, which is a free one for 0.

        Raises:
            OSError: the port is taken, or may not be listened on.
        """
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None, logger=_SILENT))
        await self._runner.setup()
        site = web.TCPSite(self._runner, _ADDRESS, port)
        await site.start()
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Ends."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response = self._response(request)
        self._log(request.method, request.raw_path, response.status)
        return response

    def _response(self, request: web.BaseRequest) -> web.Response:
        if request.host.partition(":")[0] not in _NAMES:
            return web.Response(status=421, text="this server is for this machine only\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        found = self._find(request.raw_path)
        if found is None:
            return web.Response(status=404, text="there is nothing here\n")
        headers = {
            "ETag": f'"{found.etag}"',
            "Cache-Control": "public, max-age=31536000, immutable" if found.immutable else "no-cache",
            "X-Content-Type-Options": "nosniff",
        }
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        return web.Response(body=found.data, content_type=found.content_type, headers=headers)
