"""Where a request came from, by the word of a proxy that is trusted: only where that is an address."""

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_PEER: Final = "tidegate.peer"


class Forwarded:
    """ASGI middleware; `trusted` are the networks of proxies. Where one says anything else, its own counts."""

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._app = app
        self._believing: Any = ProxyHeadersMiddleware(self._checked, list(trusted))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._believing({**scope, _PEER: scope.get("client")}, receive, send)

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        if client is not None and not _is_address(client[0]):
            scope["client"] = scope[_PEER]
        await self._app(scope, receive, send)


def _is_address(text: str) -> bool:
    """With no zone, which may be of any length and hold anything."""
    try:
        return ipaddress.ip_address(text) is not None and "%" not in text
    except ValueError:
        return False
