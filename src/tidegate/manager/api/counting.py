"""Counts requests, by the template of their route."""

from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidegate.manager.garbage import Rounds
from tidegate.manager.telling.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HELD = frozenset({"/api/v1/agent/poll", "/api/v1/events"})
_CUT = 499
"""There was no answer: its asker had gone."""


class Counting:
    """ASGI middleware. What is no route of ours counts as `other`, so that nobody can make up labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._rounds = Rounds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = monotonic(), _CUT
        self._rounds.request()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(method, route, status, None if route in _HELD else monotonic() - began)
