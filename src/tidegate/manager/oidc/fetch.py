"""Asking a provider: bounded in time and size, TLS verified, never sent elsewhere."""

import json
import ssl
from collections.abc import Mapping
from typing import Any

import aiohttp
from yarl import URL

from tidegate import __version__
from tidegate.manager.oidc.errors import ProviderError
from tidegate.os_words import os_words
from tidegate.registry.proxy import ProxyError, proxy_for

TIMEOUT_S = 10.0
MOST_BYTES = 1024 * 1024


async def fetch(
    url: str,
    tls: ssl.SSLContext,
    *,
    form: Mapping[str, str] | None = None,
    authorization: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> tuple[int, Mapping[str, Any]]:
    """The status of an answer and the JSON object that it is, empty where it is none. Raises `ProviderError`."""
    headers = {"User-Agent": f"tidegate/{__version__}", "Accept": "application/json"}
    headers |= {"Authorization": authorization} if authorization else {}
    limit = aiohttp.ClientTimeout(total=timeout_s)
    host = URL(url).authority
    try:
        proxy, proxy_headers = proxy_for(URL(url))
        async with (
            aiohttp.ClientSession(timeout=limit, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                "GET" if form is None else "POST",
                url,
                data=form,
                headers=headers,
                ssl=tls,
                allow_redirects=False,
                proxy=proxy,
                proxy_headers=proxy_headers,
            ) as answer,
        ):
            return answer.status, _object(await _body(answer, host))
    except TimeoutError:
        raise ProviderError(f"{host} did not answer within {timeout_s:g} s") from None
    except aiohttp.ClientConnectorCertificateError as error:
        why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        raise ProviderError(
            f"the certificate of {host} is not trusted ({why}); TIDEGATE_OIDC_CA takes its authority's"
        ) from None
    except aiohttp.ClientConnectorError as error:
        raise ProviderError(f"{host} cannot be reached ({os_words(error.os_error)})") from None
    except ProxyError as error:
        raise ProviderError(str(error)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # their words may hold what is secret
        raise ProviderError(f"the request to {host} failed ({type(error).__name__})") from None


async def _body(answer: aiohttp.ClientResponse, host: str) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ProviderError(f"{host} answered with more than {MOST_BYTES} bytes")
    return bytes(body)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
