"""HTTP to the manager: signed, bounded, with the manager's clock kept in mind."""

import json
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from yarl import URL

from tidegate import __version__
from tidegate.agent.store.files import Clock
from tidegate.protocol.keys import Key
from tidegate.protocol.problems import PROBLEM, Code
from tidegate.protocol.requests import NONCE_HEADER, signed_headers, time_holds
from tidegate.registry.backoff import parse_retry_after
from tidegate.registry.proxy import ProxyError, proxy_for

_MOST_BYTES = 8 * 1024 * 1024
_CONNECT_S = 10.0
_ANSWER_S = 30.0
_OK = 200
_RETRIED = {408, 425, 429}
_SERVER_ERROR = 500
_MOST_PROOFS = 8
_NOT_ITS_TIME = (
    "something answers that this host's clock is wrong, and the manager did not sign that, so the agent does not go by "
    "it. Set the clock; if it is right, the manager is older than this agent, or something on the way is not it"
)
_log = structlog.get_logger(__name__)


def _since_boot_s() -> float:
    """Goes on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LinkError(Exception):
    """The manager could not be asked; `retry_after_s` is how long it wants to be left alone, if it says."""

    def __init__(self, what: str, retry_after_s: float | None = None) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s


class RefusedError(LinkError):
    """The manager answered and will not have it; `code` is the problem's, empty where it names none."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code") or str(problem.get("type", "")).removeprefix(PROBLEM))
        self.problem = problem
        said = problem.get("detail") or problem.get("title") or "it does not say why"
        super().__init__(f"the manager answered {status} {self.code}".rstrip() + f": {said}")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who asks: its key, its id, and the manager's key that it goes by at the time."""

    key: Key
    agent: str
    manager_key: Callable[[], str]


class ManagerClient:
    """One session to one manager, opened at the first request."""

    def __init__(
        self, url: str, clock: Clock, *, ca_file: Path | None = None, since_boot_s: Callable[[], float] = _since_boot_s
    ) -> None:
        """`since_boot_s` is a clock that nobody sets."""
        self._base = URL(url)
        self._clock = clock
        self._since_boot_s = since_boot_s
        self._told: tuple[datetime, float] | None = None
        self._tls = _trust(ca_file)
        self._session: aiohttp.ClientSession | None = None

    def now(self) -> datetime:
        """The manager's time, as far as it is known; that stays so when the host's clock is set right afterwards."""
        if self._told is None:
            return self._clock()
        at, since_boot_s = self._told
        return at + timedelta(seconds=self._since_boot_s() - since_boot_s)

    async def post(
        self, path: str, message: Mapping[str, Any], signer: Signer | None = None, *, wait_s: float = 0.0
    ) -> Any:
        """The JSON that a request is answered with, signed by `signer`.

        The answer may take `wait_s` and a while. Where the clocks differ it is asked once more by the manager's.
        Raises `LinkError`, `RefusedError`.
        """
        nonce = secrets.token_hex(16)
        try:
            return await self._post(path, message, signer, nonce, wait_s)
        except RefusedError as error:
            if signer is None or error.code != Code.CLOCK_SKEW or not self._learn(error.problem, signer, nonce):
                raise
            return await self._post(path, message, signer, secrets.token_hex(16), wait_s)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _learn(self, problem: Mapping[str, Any], signer: Signer, nonce: str) -> bool:
        """Go by the manager's clock from now on, if it is the manager that tells it, in answer to this request.

        Whoever else could tell it could have an assignment that was kept back taken for a fresh one.
        """
        time_s, proofs = problem.get("time"), problem.get("proofs")
        if isinstance(time_s, bool) or not isinstance(time_s, int):
            return False
        signed = [one for one in proofs if isinstance(one, str)] if isinstance(proofs, list) else []
        if not time_holds(signer.manager_key(), signer.agent, nonce, time_s, signed[:_MOST_PROOFS]):
            _log.error(_NOT_ITS_TIME)
            return False
        try:
            at = datetime.fromtimestamp(time_s, UTC)
        except (ValueError, OverflowError, OSError):
            return False
        ahead_s = round((at - self._clock()).total_seconds())
        _log.warning("the manager's clock is another; the agent goes by it", seconds_ahead=ahead_s)
        self._told = at, self._since_boot_s()
        return True

    async def _post(
        self, path: str, message: Mapping[str, Any], signer: Signer | None, nonce: str, wait_s: float
    ) -> Any:
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        url = self._base.with_path(path)
        headers = {"Content-Type": "application/json"}
        if signer is not None:
            time_s = int(self.now().timestamp())
            headers |= signed_headers(signer.key, signer.agent, "POST", url.raw_path_qs, body, time_s=time_s)
            headers[NONCE_HEADER] = nonce
        try:
            return await self._send(url, body, headers, wait_s)
        except ProxyError as error:
            raise LinkError(f"the proxy to the manager cannot be used: {error}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise LinkError(f"{self._base} does not answer: {error or type(error).__name__}") from error

    async def _send(self, url: URL, body: bytes, headers: Mapping[str, str], wait_s: float) -> Any:
        proxy, proxy_headers = proxy_for(url)
        limits = aiohttp.ClientTimeout(total=_CONNECT_S + wait_s + _ANSWER_S, sock_connect=_CONNECT_S)
        session = self._opened()
        async with session.post(
            url,
            data=body,
            headers=headers,
            timeout=limits,
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=proxy_headers,
        ) as response:
            return _read(response, await _whole(response))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=4),
                headers={"User-Agent": f"tidegate/{__version__}"},
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise LinkError(f"{response.url.authority} answered with more than {_MOST_BYTES} bytes")
    return bytes(body)


def _read(response: aiohttp.ClientResponse, body: bytes) -> Any:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if response.status == _OK and found is not None:
        return found
    retry_after_s = parse_retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
    if response.status >= _SERVER_ERROR or response.status in _RETRIED:
        raise LinkError(f"{response.url.authority} answered {response.status}", retry_after_s)
    if not isinstance(found, dict):
        raise LinkError(f"{response.url.authority} answered {response.status}; is it a manager?", retry_after_s)
    raise RefusedError(response.status, found)


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    """The system's authorities, and those of the file."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    context.load_verify_locations(cafile=ca_file)
    return context
