"""Alerts posted as JSON, signed.

Where to is the operator's own choice, so an address of a private network is as good as any; but an answer that points
elsewhere is not followed.
"""

import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tidegate import __version__
from tidegate.manager.telling.delivery_rows import CLOSED, Delivery
from tidegate.manager.telling.sinks.sink import TIMEOUT_S, DeliveryError, headline
from tidegate.os_words import os_words

_LONGEST_WAIT_S = 3600


class Webhook:
    """One address; with a `secret`, what is posted is signed, see `signature`.

    Its name has the host, and of the address, which may itself be a secret, only what tells it from others.
    """

    kind = "webhook"

    def __init__(
        self,
        url: str,
        *,
        secret: str | None,
        tls: ssl.SSLContext,
        clock: Callable[[], datetime],
        manager: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.name = f"webhook {urlsplit(url).hostname} {hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._url, self._secret, self._tls, self._clock, self._manager = url, secret, tls, clock, manager
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)

    async def send(self, it: Delivery) -> None:
        """Post it. Raises `DeliveryError`."""
        body = json.dumps(document(it, self._manager), separators=(",", ":")).encode()
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.post(
                    self._url, data=body, headers=self._headers(it, body), ssl=self._tls, allow_redirects=False
                ) as answer,
            ):
                _check(answer)
        except TimeoutError:
            raise DeliveryError(f"it did not answer within {self._timeout.total:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise DeliveryError(f"it cannot be reached: {os_words(error.os_error)}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # their words may hold the address
            raise DeliveryError(f"the request failed ({type(error).__name__})") from None

    def _headers(self, it: Delivery, body: bytes) -> dict[str, str]:
        at = str(int(self._clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"tidegate/{__version__}",
            "Idempotency-Key": it.key,
            "Tidegate-Time": at,
        }
        if self._secret:
            headers["Tidegate-Signature"] = signature(self._secret, at, body)
        return headers


def signature(secret: str, at: str, body: bytes) -> str:
    """What a receiver compares with; `at` is unix seconds as they are in `Tidegate-Time`."""
    return "sha256=" + hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()


def document(it: Delivery, manager: str | None) -> dict[str, Any]:
    """What is posted."""
    return {
        "event": f"alert.{it.what}",
        "key": it.key,
        "summary": headline(it),
        "text": it.text,
        "manager": manager,
        "alert": {
            "id": it.alert_id,
            "rule": it.rule,
            "subject": it.subject,
            "severity": it.severity,
            "opened_at": _moment(it.opened_at),
            "closed_at": _moment(it.closed_at) if it.closed_at and it.what == CLOSED else None,
            "close_reason": it.close_reason if it.what == CLOSED else None,
            "replaces": it.replaces,
        },
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _check(answer: aiohttp.ClientResponse) -> None:
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    after = answer.headers.get("Retry-After", "")
    wait = min(int(after), _LONGEST_WAIT_S) if after.isascii() and after.isdecimal() else 0
    where = ", which points elsewhere and is not followed" if answer.status < HTTPStatus.BAD_REQUEST else ""
    raise DeliveryError(f"it answered {answer.status}{where}", retry_after_s=wait)
