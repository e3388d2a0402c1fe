"""A web server for tests that loses no connection as it closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp.test_utils import TestServer, get_port_socket
from tests.support.loops import accept_no_more

if TYPE_CHECKING:
    import socket

    from aiohttp import web


class WebServer(TestServer):
    """aiohttp's, on a free port of 127.0.0.1, that may be closed while somebody is connecting.

    An engine connects when it likes; so nothing more is accepted first (`accept_no_more`).
    """

    __test__ = False

    def __init__(self, app: web.Application) -> None:
        super().__init__(app, socket_factory=self._listen)
        self._listening: socket.socket | None = None

    def _listen(self, host: str, port: int, family: socket.AddressFamily) -> socket.socket:
        self._listening = get_port_socket(host, port, family)
        return self._listening

    async def close(self) -> None:
        """Close it, and every connection; once more does nothing."""
        if self._listening is not None and self._listening.fileno() >= 0:
            await accept_no_more(self._listening)
        await super().close()
