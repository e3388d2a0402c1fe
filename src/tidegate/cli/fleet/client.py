"""A manager over HTTP: reads are tried again, writes are repeated under one key, and nothing is followed elsewhere."""

import asyncio
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from tidegate import __version__
from tidegate.cli.fleet.errors import (
    FleetError,
    NoManagerError,
    NotAllowedError,
    NotReachableError,
    ProblemError,
    UsageError,
)
from tidegate.cli.fleet.login import CA_VARIABLE, Login
from tidegate.cli.fleet.sse import FeedEvent, read_events
from tidegate.os_words import os_words
from tidegate.registry.proxy import ProxyError, proxy_for

_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.3
_LONGEST_PAUSE_S: Final = 5.0
_PAGE: Final = "500"
_MOST_BYTES: Final = 64 * 1024 * 1024
_STREAM_QUIET_S: Final = 90.0
_NOT_NOW: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_BROKEN: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
_KEY_IN_USE: Final = "idempotency"
Value = str | int | tuple[str, ...] | None
"""Of a query: a tuple is asked for once for each."""
_JSON: Final = ("application/json", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Answer:
    """A document of the manager's, and its ETag where it has one."""

    document: Any
    etag: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None = None

    @property
    def is_read(self) -> bool:
        return self.method == "GET"


class Manager:
    """A connection to a manager; a context manager. `timeout_s` is for one request and its answer.

    Every method raises `NotReachableError`, `NotAllowedError`, `ProblemError` or `NoManagerError`.
    """

    def __init__(
        self,
        login: Login,
        *,
        timeout_s: float,
        new_key: Callable[[], str] = lambda: uuid.uuid4().hex,
        tries: int = _TRIES,
    ) -> None:
        self.url = login.url
        self._token = login.token
        self._timeout_s = timeout_s
        self._new_key = new_key
        self._tries = tries
        self._tls = _tls(login)
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(self, *path: str | int, **query: Value) -> Answer:
        """Read one document; `path` are segments below `/api/v1`; what is None in `query` is left out."""
        return await self._ask(_Request("GET", self._address(path, query), self._headers()))

    async def every(self, *path: str | int, **query: Value) -> list[dict[str, Any]]:
        """Read a list to its end, page by page."""
        items: list[dict[str, Any]] = []
        after: str | None = None
        while True:
            document = (await self.get(*path, **query, limit=_PAGE, after=after)).document
            page = document.get("items") if isinstance(document, dict) else None
            if not isinstance(page, list):
                raise NoManagerError(f"{self.url} answered with no list where one was asked for.")
            items += page
            following = document.get("next")
            if following is None or following == after:
                return items
            after = str(following)

    async def write(self, method: str, *path: str | int, body: Any = None, etag: str = "") -> Answer:
        """Change something, once: after a broken connection the same is sent again under the same key."""
        headers = self._headers() | {"Idempotency-Key": self._new_key()}
        if etag:
            headers["If-Match"] = etag
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        return await self._ask(_Request(method, self._address(path, {}), headers, data))

    async def events(self, *, last: str = "", **query: str) -> AsyncIterator[FeedEvent]:
        """What the manager tells as it happens, from after the event `last` on; ends when the stream does."""
        headers = self._headers() | {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        request = _Request("GET", self._address(("events",), query), headers)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout_s, sock_read=_STREAM_QUIET_S)
        try:
            async with self._open(request, timeout) as response:
                if response.status != HTTPStatus.OK:
                    raise await self._problem(response)
                async for event in read_events(response.content):
                    yield event
        except (*_BROKEN, ValueError) as error:  # ValueError: a line without an end
            raise NotReachableError(self._broken(error)) from error

    # one request

    async def _ask(self, request: _Request) -> Answer:
        pause_s = _FIRST_PAUSE_S
        for left in reversed(range(self._tries)):
            try:
                return await self._once(request)
            except _AgainError as again:
                if not left:
                    raise again.error from again.error.__cause__
                await asyncio.sleep(min(again.pause_s or pause_s, _LONGEST_PAUSE_S))
                pause_s *= 2
        raise AssertionError("unreachable")

    async def _once(self, request: _Request) -> Answer:
        try:
            async with self._open(request, aiohttp.ClientTimeout(total=self._timeout_s)) as response:
                if HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    return Answer(await self._read(response), response.headers.get("ETag", ""))
                problem = await self._problem(response)
                if _worth_another_try(request, response.status, problem):
                    raise _AgainError(problem, _seconds(response.headers.get("Retry-After")))
                raise problem
        except aiohttp.ClientConnectorSSLError as error:
            why = f"{self.url} does not answer with TLS ({_reason(error)}); is its address written http://?"
            raise NotReachableError(why) from error
        except aiohttp.ClientConnectorCertificateError as error:
            why = f"{self.url} shows a certificate that is not trusted here; {CA_VARIABLE} names its authority's file."
            raise NotReachableError(why) from error
        except _BROKEN as error:
            broken = NotReachableError(self._broken(error))
            broken.__cause__ = error
            raise _AgainError(broken) from error
        except aiohttp.ClientError as error:
            raise NoManagerError(f"{self.url} does not answer as a manager does: {type(error).__name__}.") from error

    def _open(self, request: _Request, timeout: aiohttp.ClientTimeout) -> Any:
        try:
            proxy, proxy_headers = proxy_for(request.url)
        except ProxyError as error:
            raise UsageError(f"{error}.") from error
        return self._session.request(
            request.method,
            request.url,
            headers=request.headers,
            data=request.body,
            timeout=timeout,
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=proxy_headers,
        )

    async def _read(self, response: aiohttp.ClientResponse) -> Any:
        data = await _whole(response)
        if not data:
            return None
        if response.content_type not in _JSON:
            raise NoManagerError(f"{self.url} answers with {response.content_type}: that is no manager's API.")
        try:
            return json.loads(data)
        except ValueError as error:
            raise NoManagerError(f"{self.url} answers with JSON that cannot be read.") from error

    async def _problem(self, response: aiohttp.ClientResponse) -> FleetError:
        status = response.status
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            place = response.headers.get("Location", "elsewhere")
            return NoManagerError(
                f"{self.url} sends us on to {place}: the token is not taken there. Log in to that address."
            )
        document = await self._read(response) if response.content_type in _JSON else {}
        document = document if isinstance(document, dict) else {}
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return NotAllowedError(status, document)
        if status in _NOT_NOW:
            return NotReachableError(str(ProblemError(status, document)))
        if not document:
            return NoManagerError(f"{self.url} answers with HTTP status {status}, and not as a manager does.")
        return ProblemError(status, document)

    def _broken(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            return f"{self.url} did not answer within {self._timeout_s:g} s."
        inner = getattr(error, "os_error", None) or error
        why = os_words(inner) if isinstance(inner, OSError) else str(inner) or type(inner).__name__
        return f"{self.url} is not reachable: {why}."

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "User-Agent": f"tidegate/{__version__}",
        }

    def _address(self, path: tuple[str | int, ...], query: Mapping[str, Value]) -> URL:
        segments = "/".join(quote(str(one), safe="@") for one in path)
        base = str(self.url).rstrip("/")
        asked = "&".join(
            f"{quote(name)}={quote(str(each), safe='')}"
            for name, value in query.items()
            for each in (value if isinstance(value, tuple) else (value,))
            if each is not None
        )
        return URL(f"{base}/api/v1/{segments}" + (f"?{asked}" if asked else ""), encoded=True)


class _AgainError(Exception):
    """A failure that another try may not have; `error` is what it is in the end."""

    def __init__(self, error: FleetError, pause_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.pause_s = pause_s


def _worth_another_try(request: _Request, status: int, problem: FleetError) -> bool:
    """Reads, when the manager cannot now; a write, while its first sending is still being done."""
    if request.is_read:
        return status in _NOT_NOW or status == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(problem, ProblemError) and status == HTTPStatus.CONFLICT and _KEY_IN_USE in problem.problem_code


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for part in response.content.iter_any():
        data += part
        if len(data) > _MOST_BYTES:
            raise NoManagerError(f"The answer is larger than {_MOST_BYTES // 2**20} MiB.")
    return bytes(data)


def _reason(error: aiohttp.ClientConnectorSSLError) -> str:
    return str(getattr(error.os_error, "reason", None) or error.os_error).lower().replace("_", " ")


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else 0.0


def _tls(login: Login) -> ssl.SSLContext | bool:
    if login.ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(login.ca_file)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or "it holds no certificate"
        raise UsageError(f"{CA_VARIABLE}: {login.ca_file} cannot be used: {why}.") from error
    return context
