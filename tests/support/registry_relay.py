"""A way to a registry, on which a test stands between who asks and the registry that answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from tests.support.registry import Registry
from tests.support.web_server import WebServer

Pass = Callable[[], Awaitable[web.Response]]
Between = Callable[[web.Request, Pass], Awaitable[web.StreamResponse]]
"""Sees a request; what it returns is the answer, and `Pass` has the registry's."""

_SENT = ("Accept", "Authorization", "Content-Type")
_ANSWERED = {"content-type", "docker-content-digest", "location", "www-authenticate"}


@asynccontextmanager
async def relay(registry: Registry, between: Between) -> AsyncIterator[str]:
    """Its `127.0.0.1:PORT`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {name: request.headers[name] for name in _SENT if name in request.headers}

        async def passed() -> web.Response:
            status, answered, content = await asyncio.to_thread(
                registry.request, request.method, request.path_qs, body, headers
            )
            kept = {name: value for name, value in answered.items() if name in _ANSWERED}
            return web.Response(status=status, body=content, headers=kept)

        return await between(request, passed)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    server = WebServer(app)
    await server.start_server()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.close()
