"""Telling a manager, by its generic webhook, that a channel has moved; it is signed, and the secret stays here."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from tidegate import __version__
from tidegate.cli.fleet.errors import UsageError
from tidegate.cli.fleet.login import parse_url
from tidegate.domain.webhook import sign
from tidegate.os_words import os_words
from tidegate.registry.proxy import ProxyError, proxy_for

PATH: Final = "/api/v1/webhooks/generic"
_TRIES: Final = 3
_PAUSE_S: Final = 1.0
_MOST_BYTES: Final = 1 << 20
_NOT_NOW: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


class NotToldError(Exception):
    """The manager could not be told; the message is a clause without the secret."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


def webhook_url(text: str) -> URL:
    """Where to send to: a manager's address, or that of its webhook. Raises `UsageError`."""
    url = parse_url(text.removesuffix("/").removesuffix(PATH), "--webhook")
    return url.with_path(url.path.rstrip("/") + PATH)


async def tell(
    url: URL,
    document: dict[str, Any],
    secret: str,
    *,
    ca_file: Path | None,
    timeout_s: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[str]:
    """The channels whose registries are asked now. Raises `NotToldError`, after three tries where a later may do."""
    body = json.dumps(document, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tidegate/{__version__}",
        "X-Hub-Signature-256": sign(body, secret),
    }
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else True
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
    ) as session:
        for left in reversed(range(_TRIES)):
            try:
                return await _once(session, url, body, timeout_s)
            except NotToldError as error:
                if not (error.again and left):
                    raise
            await sleep(_PAUSE_S * (_TRIES - left))
    raise AssertionError("unreachable")


async def _once(session: aiohttp.ClientSession, url: URL, body: bytes, timeout_s: float) -> list[str]:
    try:
        proxy, proxy_headers = proxy_for(url)
        async with session.post(
            url, data=body, allow_redirects=False, proxy=proxy, proxy_headers=proxy_headers
        ) as answer:
            return _channels(answer.status, await answer.content.read(_MOST_BYTES))
    except ProxyError as error:
        raise UsageError(f"{error}.") from error
    except TimeoutError:
        raise NotToldError(f"it did not answer within {timeout_s:g} s", again=True) from None
    except aiohttp.ClientConnectorCertificateError:
        raise NotToldError("its certificate is not trusted; TIDEGATE_MANAGER_CA names its authority's file") from None
    except aiohttp.ClientConnectorError as error:
        raise NotToldError(f"it cannot be reached: {os_words(error.os_error)}", again=True) from None
    except (aiohttp.ClientError, OSError) as error:
        raise NotToldError(f"the request failed ({type(error).__name__})", again=True) from None


def _channels(status: int, body: bytes) -> list[str]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    said = document if isinstance(document, dict) else {}
    if status != HTTPStatus.ACCEPTED:
        detail = " ".join(str(said.get("detail", "")).split())[:300]
        raise NotToldError(f"it answered {status}" + (f": {detail}" if detail else ""), again=status in _NOT_NOW)
    channels = said.get("channels")
    if not isinstance(channels, list):
        raise NotToldError("what answers there is no manager's webhook")
    return [str(one) for one in channels]
