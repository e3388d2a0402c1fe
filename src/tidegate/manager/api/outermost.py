"""Around everything else: headers that every answer carries, and an answer where the program is at fault."""

import asyncio
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.manager.api.problems import Problem, response

_log = structlog.get_logger(__name__)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_UNLESS_SAID = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_OVER_TLS = (b"strict-transport-security", b"max-age=31536000")


class Outermost:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, stopping: asyncio.Event) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, tls=scope["scheme"] == "https")
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            if started or not self._stopping.is_set():
                raise
            await response(_stopped())(scope, receive, sending)  # it took too long for a process that ends
        except Exception:
            _log.exception("a request could not be answered", method=scope["method"], path=_told(scope["path"]))
            if started:
                raise  # the connection is cut, so nobody takes half an answer for a whole one
            await response(_fault())(scope, receive, sending)


def _add_headers(message: MutableMapping[str, Any], *, tls: bool) -> None:
    headers = message["headers"] = list(message.get("headers", ()))
    said = {name.lower() for name, _ in headers}
    headers += [*_HEADERS, *(one for one in _UNLESS_SAID if one[0] not in said), *([_OVER_TLS] if tls else [])]


def _told(path: str) -> str:
    """A path as it may be logged: Docker Hub's webhooks have their secret in it."""
    before, hub, secret = path.partition("/webhooks/dockerhub/")
    return f"{before}{hub}***" if secret else path


def _stopped() -> Problem:
    detail = "The manager ends, and the request was cut off; nothing was done. Try again in 5 s."
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", detail, headers={"Retry-After": "5"})


def _fault() -> Problem:
    detail = "The manager has a fault, which its log tells more of. Read before you try again: it may have been done."
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)
