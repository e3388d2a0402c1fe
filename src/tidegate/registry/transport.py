"""HTTP as registries need it: bounded, verified, redirected with care and retried a little."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from tidegate import __version__
from tidegate.domain.reference import Reference
from tidegate.registry.counters import Counters
from tidegate.registry.endpoint import AddressError, follow, same_origin
from tidegate.registry.errors import AddressUnusableError, RedirectRefusedError
from tidegate.registry.failures import connection_error, malformed
from tidegate.registry.proxy import ProxyError, proxy_for

_QUICK_RETRIES: Final = 2
_MOST_REDIRECTS: Final = 5
_CHUNK_BYTES: Final = 65536
REDIRECT_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_CONNECTIONS_PER_HOST: Final = 8


class CaFileError(ValueError):
    """The file of a certificate authority cannot be used; the message names it."""


class Redirects(Enum):
    """How far a request may be sent on."""

    REPORT = "nowhere: the redirect itself is the answer"
    STAY = "the same scheme, host and port only: the request is about credentials"
    LEAVE = "elsewhere too, but then without credentials"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `kind` is the counter it goes to; the body of an answer may be `limit` bytes."""

    method: str
    url: URL
    kind: str
    redirects: Redirects
    limit: int
    headers: Mapping[str, str] = field(default_factory=dict)
    authorization: str | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; `url` is who gave it, after redirects."""

    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes = field(repr=False)


class Transport:
    """One aiohttp session, opened at the first request. TLS is verified always, HEAD included."""

    def __init__(
        self,
        *,
        counters: Counters,
        insecure: Collection[str],
        ca_file: Path | None,
        timeout_s: float,
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
    ) -> None:
        self._counters = counters
        self._insecure = insecure
        self._tls = _trust(ca_file)
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._random = random
        self._session: aiohttp.ClientSession | None = None

    async def send(self, reference: Reference, request: Request) -> Answer:
        """The answer, whatever its status; redirects followed. Raises `RegistryError` (never for a status)."""
        url, authorization = request.url, request.authorization
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._persist(reference, request, url, authorization)
            location = answer.headers.get("Location")
            if answer.status not in REDIRECT_STATUSES or not location or request.redirects is Redirects.REPORT:
                return answer
            target = self._target(reference, request, url, location)
            # Credentials belong to the origin that asked for them, and never come back once dropped.
            authorization = authorization if same_origin(url, target) else None
            url = target
        raise malformed(reference, f"{request.url.authority} redirects in a circle")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _target(self, reference: Reference, request: Request, url: URL, location: str) -> URL:
        try:
            target = follow(url, location, self._insecure)
            _check_leave(request, url, target)
        except AddressError as error:
            raise RedirectRefusedError(
                reference,
                f"{url.authority} redirects to elsewhere, and that was refused: {error}",
                "if the registry has moved, write its new name in the image's reference",
            ) from error
        return target

    async def _persist(self, reference: Reference, request: Request, url: URL, authorization: str | None) -> Answer:
        """One hop, tried again where a connection was lost on the way."""
        attempt = 0
        while True:
            try:
                return await self._once(reference, request, url, authorization)
            except ProxyError as error:
                raise AddressUnusableError(reference, str(error), "write it as http://HOST:PORT") from error
            except (aiohttp.ClientError, OSError) as error:
                if attempt == _QUICK_RETRIES or not _was_lost(error):
                    raise connection_error(reference, url, error, self._timeout_s) from error
            except ValueError as error:  # what an HTTP client says of a name or a header that cannot be
                raise malformed(reference, f"{url.authority} cannot be asked ({error})") from error
            attempt += 1
            await self._sleep(attempt * (0.1 + 0.1 * self._random()))

    async def _once(self, reference: Reference, request: Request, url: URL, authorization: str | None) -> Answer:
        # Identity: a digest is of the bytes as they are, not as a proxy packed them.
        headers = {"Accept-Encoding": "identity", **request.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        proxy, proxy_headers = proxy_for(url)
        setattr(self._counters, request.kind, getattr(self._counters, request.kind) + 1)
        async with self._opened().request(
            request.method,
            url,
            headers=headers,
            data=request.body if request.form is None else request.form,
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=proxy_headers,
        ) as response:
            body = await self._read(reference, response, request.limit)
            return Answer(url, response.status, response.headers, body)

    async def _read(self, reference: Reference, response: aiohttp.ClientResponse, limit: int) -> bytes:
        self._counters.bytes += sum(len(name) + len(value) + 4 for name, value in response.raw_headers)
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            self._counters.bytes += len(chunk)
            body += chunk
            if len(body) > limit:
                raise malformed(reference, f"{response.url.authority} answered with more than {limit} bytes")
        return bytes(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit_per_host=_CONNECTIONS_PER_HOST),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                headers={"User-Agent": f"tidegate/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


def _check_leave(request: Request, url: URL, target: URL) -> None:
    if request.redirects is Redirects.STAY and not same_origin(url, target):
        raise AddressError(f"{target.authority} would be given credentials meant for {url.authority}")


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    """The system's authorities, and one more if given. Raises `CaFileError`."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise CaFileError(f"{ca_file} is not a file of PEM certificates ({error.strerror})") from error
    return context


def _was_lost(error: Exception) -> bool:
    """Whether the connection stood and broke; one that could not be made is not tried again at once."""
    if isinstance(error, aiohttp.ClientConnectorError | TimeoutError):
        return False
    return isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError)


async def real_sleep(seconds: float) -> None:
    """Wait; the default of what tests replace."""
    await asyncio.sleep(seconds)
