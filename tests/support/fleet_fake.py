"""The manager's API on a port of its own, from memory; it can be told to misbehave."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from aiohttp import web
from tests.support import loops
from tests.support.fleet_routes import OWN_TOKENS, ROLE, TOKEN, USER, Refused, Routes, problem
from tests.support.fleet_state import FleetState
from tests.support.web_server import WebServer

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Handler], Awaitable[web.StreamResponse | None]]
"""Looks at a request first: answers in the manager's place, or gives None to let it pass."""


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.path.removeprefix('/api/v1')}"


@dataclass
class FakeManager:
    """A context manager: it runs in a thread of its own, so that a command can run in the test's."""

    state: FleetState = field(default_factory=FleetState)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Seen] = field(default_factory=list)
    streams: bool = True
    ssl: Any = None
    _done: dict[str, web.Response] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self.run(self._started())
        self.port = self._server.port
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._server.close())
        loops.end(self._loop, self._thread)

    @property
    def url(self) -> str:
        return f"{'https' if self.ssl else 'http'}://127.0.0.1:{self.port}"

    def token(self, role: str, user: str = "ann") -> str:
        token = f"tg_{len(self.tokens) + 1}_{user}-{role}-secret"
        self.tokens[token] = (user, role)
        id_ = OWN_TOKENS + len(self.tokens)
        row = {"id": id_, "user": user, "role": role, "name": f"of-{role}-{id_}"}
        self.state.rows.setdefault("tokens", {})[id_] = row
        return token

    def run(self, work: Awaitable[T]) -> T:
        """Do something in the server's thread."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        return future.result(timeout=30)

    def tell(self, what: Callable[[], T]) -> T:
        """Change the fleet, in the server's thread."""

        async def work() -> T:
            return what()

        return self.run(work())

    async def _started(self) -> WebServer:
        app = web.Application(middlewares=[self._gate])
        app.router.add_get("/api/v1/events", self._events)
        Routes(self.state).add_to(app)
        server = WebServer(app)
        await server.start_server(ssl=self.ssl)
        return server

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.requests.append(Seen(request.method, request.path_qs, dict(request.headers)))
        for fault in self.faults:
            answer = await fault(request, self._answer(handler))
            if answer is not None:
                return answer
        return await self._answer(handler)(request)

    def _answer(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            known = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
            if known is None:
                return problem(Refused(401, "The token is not known.", "unknown-token"))
            request[USER], request[ROLE] = known
            request[TOKEN] = OWN_TOKENS + 1 + list(self.tokens).index(request.headers["Authorization"].split()[-1])
            try:
                return await self._once(request, handler)
            except Refused as error:
                return problem(error)

        return answer

    async def _once(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A write with a key that was used already answers as it did then."""
        if request.method == "GET":
            return await handler(request)
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            raise Refused(400, "Send an Idempotency-Key.", "no-key")
        if key not in self._done:
            answer = await handler(request)
            assert isinstance(answer, web.Response)
            self._done[key] = answer
        first = self._done[key]
        return web.Response(status=first.status, body=first.body, headers={"Content-Type": first.content_type})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if not self.streams:
            return problem(Refused(503, "No streams now.", "unavailable"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        last = int(request.headers.get("Last-Event-ID", len(self.state.feed)))
        await response.write(b": hello\n\n")
        while True:
            for number, rollout in self.state.feed[last:]:
                data = f'{{"number": {number}, "kind": "rollout.state", "subject": "rollout {rollout}"}}'
                await response.write(f"id: {number}\nevent: rollout.state\ndata: {data}\n\n".encode())
            last = len(self.state.feed)
            await asyncio.sleep(0.02)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def times(count: int, fault: Fault) -> Fault:
    """A fault that is over after so many requests."""
    left = [fault] * count

    async def some(request: web.Request, handler: Handler) -> web.StreamResponse | None:
        return await left.pop()(request, handler) if left else None

    return some


def on(method: str, part: str, fault: Fault) -> Fault:
    """A fault of some requests only."""

    async def some(request: web.Request, handler: Handler) -> web.StreamResponse | None:
        return await fault(request, handler) if request.method == method and part in request.path else None

    return some


async def breaks_off(request: web.Request, handler: Handler) -> web.StreamResponse | None:
    """Does what it was asked, and closes the connection in place of an answer."""
    await handler(request)
    assert request.transport is not None
    request.transport.abort()
    raise asyncio.CancelledError


def answers(status: int, text: str = "", content_type: str = "text/plain", **headers: str) -> Fault:
    """Answers in the manager's place; underscores in headers' names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(_: web.Request, __: Handler) -> web.StreamResponse | None:
        return web.Response(status=status, text=text, content_type=content_type, headers=named)

    return answer
