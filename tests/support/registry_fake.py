"""A registry in memory that can be told to misbehave; a contract suite holds it to the real one otherwise."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web
from tests.support.registry import Registry
from tests.support.registry_push import digest_of
from tests.support.registry_server import PASSWORD, USER
from tests.support.registry_tokens import SERVICE, TokenService
from tests.support.web_server import WebServer

from tidegate.registry.credential import basic_header

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Looks at a request first: answers in the registry's place, or gives None to let it pass."""

_PASSED_ON = {"content-type", "content-length", "docker-content-digest", "etag"}
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 429: "TOOMANYREQUESTS"}


@dataclass
class FakeRegistry:
    """Open, or behind a password (`basic`) or a token service. `requests` are `METHOD path`, `seen` headers."""

    basic: bool = False
    tokens: TokenService | None = None
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[tuple[str, str], tuple[bytes, str]] = field(default_factory=dict)
    server: WebServer | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**27)
        app.router.add_get("/v2/", self._base)
        app.router.add_post("/v2/{name:.+}/blobs/uploads/", self._start_upload)
        app.router.add_put("/v2/{name:.+}/blobs/uploads/one", self._finish_upload)
        app.router.add_get("/v2/{name:.+}/blobs/{digest}", self._blob)
        app.router.add_put("/v2/{name:.+}/manifests/{version}", self._put_manifest)
        app.router.add_get("/v2/{name:.+}/manifests/{version}", self._manifest)
        app.middlewares.append(self._gate)
        self.server = WebServer(app)
        await self.server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        await self.server.close()

    @property
    def address(self) -> str:
        assert self.server is not None
        return f"127.0.0.1:{self.server.port}"

    @web.middleware
    async def _gate(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path}")
        self.seen.append(dict(request.headers))
        for fault in self.faults:
            answer = await fault(request)
            if answer is not None:
                return answer
        refused = self._refused(request)
        return refused or await handler(request)

    def _refused(self, request: web.Request) -> web.Response | None:
        shown = request.headers.get("Authorization")
        if self.basic and shown != basic_header(USER, PASSWORD):
            return _unauthorized('Basic realm="test"')
        if self.tokens is None:
            return None
        allowed = self.tokens.issued.get((shown or "").removeprefix("Bearer "))
        if allowed is not None and allowed == request.match_info.get("name", allowed):
            return None
        return _unauthorized(f'Bearer realm="{self.tokens.auth.realm}",service="{SERVICE}"')

    async def _base(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _start_upload(self, request: web.Request) -> web.Response:
        return web.Response(status=202, headers={"Location": f"{request.path}one"})

    async def _finish_upload(self, request: web.Request) -> web.Response:
        self.blobs[request.query["digest"]] = await request.read()
        return web.Response(status=201)

    async def _blob(self, request: web.Request) -> web.Response:
        data = self.blobs.get(request.match_info["digest"])
        if data is None:
            return _error(404, "BLOB_UNKNOWN")
        return web.Response(body=data, content_type="application/octet-stream")

    async def _put_manifest(self, request: web.Request) -> web.Response:
        name, raw = request.match_info["name"], await request.read()
        for version in (request.match_info["version"], digest_of(raw)):
            self.manifests[name, version] = (raw, request.content_type)
        return web.Response(status=201)

    async def _manifest(self, request: web.Request) -> web.Response:
        found = self.manifests.get((request.match_info["name"], request.match_info["version"]))
        if found is None:
            return _error(404, "MANIFEST_UNKNOWN")
        raw, media_type = found
        if media_type not in ",".join(request.headers.getall("Accept", ())):
            return _error(404, "MANIFEST_UNKNOWN")
        digest = digest_of(raw)
        headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Content-Type": media_type}
        return web.Response(body=raw, headers=headers)


def on(method: str, part: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Fault:
    """A fault for requests of `method` (empty: any) whose path has `part` in it."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        if method not in ("", request.method) or part not in request.path:
            return None
        return await answer(request)

    return fault


def passed_on_to(registry: Registry) -> Fault:
    """Everything that is read is answered by another registry; what comes before it in `faults` stands in front."""

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = {"Accept": ", ".join(request.headers.getall("Accept", ()))}
        code, headers, body = await asyncio.to_thread(registry.request, request.method, request.path_qs, headers=asked)
        kept = {name: value for name, value in headers.items() if name in _PASSED_ON}
        return web.Response(status=code, body=body, headers=kept)

    return answer


def from_the_engine(fault: Fault) -> Fault:
    """A fault for what the engine asks, not the agent."""

    async def asked(request: web.Request) -> web.StreamResponse | None:
        return await fault(request) if request.headers.get("User-Agent", "").startswith("docker/") else None

    return asked


def times(count: int, fault: Fault) -> Fault:
    """A fault that is over when it has answered so many times."""
    left = [fault] * count

    async def answer(request: web.Request) -> web.StreamResponse | None:
        answered = await left[-1](request) if left else None
        if answered is not None:
            left.pop()
        return answered

    return answer


def status(code: int, **headers: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answers with a status and headers (underscores in their names become dashes)."""

    async def answer(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        error = {"code": _CODES.get(code, "UNKNOWN"), "message": "told to"}
        return web.json_response({"errors": [error]}, status=code, headers=named)

    return answer


def _unauthorized(challenge: str) -> web.Response:
    return web.json_response({}, status=401, headers={"WWW-Authenticate": challenge})


def _error(code: int, name: str) -> web.Response:
    return web.json_response({"errors": [{"code": name, "message": name.lower()}]}, status=code)
