"""Watchtower's HTTP API: `/v1/update` and `/v1/metrics` behind a bearer token. Off by default."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import structlog

from tidegate.agent.metrics import CONTENT_TYPE, Metrics
from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.engine.errors import EngineError

if TYPE_CHECKING:
    from aiohttp import web

_BEARER = "Bearer "
_CLOSE_AFTER_S = 5.0
_log = structlog.get_logger(__name__)

Update = Callable[[tuple[str, ...]], Awaitable[None]]
"""Checks the containers of these images, or all of them for an empty tuple; returns when that is done."""


class ApiSettings(Protocol):
    """What the API needs to know."""

    @property
    def http_api_update(self) -> bool:
        """Whether `/v1/update` is served."""

    @property
    def http_api_metrics(self) -> bool:
        """Whether `/v1/metrics` is served."""

    @property
    def http_api_token(self) -> str | None:
        """The token that requests carry."""

    @property
    def http_listen(self) -> tuple[str, int]:
        """Host (empty: all addresses) and port (0: any free one)."""


class HttpApi:
    """Serves the API from `start` to `close`. `lock` is held while a check runs, by polling too."""

    def __init__(self, settings: ApiSettings, update: Update, metrics: Metrics, lock: asyncio.Lock) -> None:
        if not settings.http_api_token:
            raise ValueError("WATCHTOWER_HTTP_API_TOKEN is empty: the HTTP API does not start without a token.")
        self._settings = settings
        self._expected = f"{_BEARER}{settings.http_api_token}".encode()
        self._update = update
        self._metrics = metrics
        self._lock = lock
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen. Raises OSError, with the setting's name, where the address cannot be had."""
        from aiohttp import web  # noqa: PLC0415 - the server half of aiohttp stays unloaded while the API is off

        app = web.Application()
        if self._settings.http_api_update:
            app.router.add_route("*", "/v1/update", self._serve_update)
        if self._settings.http_api_metrics:
            app.router.add_route("*", "/v1/metrics", self._serve_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_AFTER_S)
        await self._runner.setup()
        host, port = self._settings.http_listen
        try:
            await web.TCPSite(self._runner, host or None, port).start()
        except OSError as error:
            raise OSError(
                f"the HTTP API cannot listen at {host}:{port} ({error.strerror}): free that address, "
                f"or name another one with TIDEGATE_HTTP_LISTEN"
            ) from error
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening; requests in flight have a few seconds to end."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve_update(self, request: "web.Request") -> "web.Response":
        if not self._allowed(request):
            return _empty(401)
        images, bad = _images(request.query.getall("image", []))
        for error in bad:
            _log.warning("an image that was asked for over HTTP is left out", reason=str(error))
        if bad and not images:
            return _told(400, "".join(f"{error}\n" for error in bad))
        if self._lock.locked() and not images:
            self._metrics.skipped()
            return _empty(200)
        async with self._lock:
            return await self._updated(images)

    async def _updated(self, images: tuple[str, ...]) -> "web.Response":
        """503 where the engine cannot be asked: the caller may try again."""
        try:
            await self._update(images)
        except EngineError as error:
            _log.warning("a look that was asked for over HTTP was cut short", reason=str(error))
            return _empty(503)
        return _empty(200)

    async def _serve_metrics(self, request: "web.Request") -> "web.Response":
        from aiohttp import web  # noqa: PLC0415 - as above

        if not self._allowed(request):
            return _empty(401)
        text = self._metrics.exposition()
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    def _allowed(self, request: "web.Request") -> bool:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        return hmac.compare_digest(given, self._expected)


def _images(given: Iterable[str]) -> tuple[tuple[str, ...], list[InvalidReferenceError]]:
    """The images that are named, and why others are none."""
    images, bad = [], []
    for text in (part.strip() for each in given for part in each.split(",") if part.strip()):
        try:
            parse_reference(text)
            images.append(text)
        except InvalidReferenceError as error:
            bad.append(error)
    return tuple(images), bad


def _empty(status: int) -> "web.Response":
    return _told(status, None)


def _told(status: int, text: str | None) -> "web.Response":
    from aiohttp import web  # noqa: PLC0415 - as above

    return web.Response(status=status, text=text)
