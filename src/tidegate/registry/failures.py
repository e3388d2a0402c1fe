"""From what went wrong on the wire to an error that tells people what to do."""

import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp
from yarl import URL

from tidegate.domain.reference import Reference
from tidegate.os_words import os_words
from tidegate.registry.access import Access
from tidegate.registry.backoff import parse_retry_after
from tidegate.registry.errors import (
    ForbiddenError,
    MalformedAnswerError,
    ManifestNotFoundError,
    RateLimitedError,
    RegistryError,
    RegistryUnavailableError,
    UntrustedCertificateError,
)

LATER = "it will be asked again later"
_BAD_ANSWER = "push the image again if this lasts, or look at the registry and at proxies before it"
_FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER = 403, 404, 429, 500


def connection_error(reference: Reference, url: URL, error: Exception, timeout_s: float) -> RegistryError:
    """What a failed connection means. `url` is who was asked: the registry or its token service."""
    host = url.authority
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", "") or error.certificate_error
        return UntrustedCertificateError(
            reference,
            f"the certificate of {host} is not trusted ({why})",
            "give the file of its certificate authority as TIDEGATE_REGISTRY_CA",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return RegistryUnavailableError(
            reference,
            f"{host} does not speak TLS as expected ({_reason(error)})",
            "if it is meant to be without TLS, name it in TIDEGATE_INSECURE_REGISTRIES",
        )
    if isinstance(error, TimeoutError):
        return RegistryUnavailableError(reference, f"{host} did not answer within {timeout_s:g} s", LATER)
    if isinstance(error, aiohttp.ClientPayloadError):
        return MalformedAnswerError(reference, f"the answer of {host} broke off before its end", LATER)
    if isinstance(error, aiohttp.ClientConnectorError):
        return RegistryUnavailableError(
            reference, f"{host} cannot be reached ({_reason(error)})", f"check name and network; {LATER}"
        )
    if isinstance(error, OSError | aiohttp.ServerDisconnectedError):
        return RegistryUnavailableError(reference, f"{host} closed the connection without an answer", LATER)
    return MalformedAnswerError(reference, f"{host} does not answer in HTTP ({type(error).__name__})", _BAD_ANSWER)


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """TLS has words of its own."""
    cause = error.os_error
    return str(cause.reason or cause) if isinstance(cause, ssl.SSLError) else os_words(cause)


def status_error(
    reference: Reference,
    url: URL,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access: Access = Access.READ,
) -> RegistryError:
    """What a status other than success and 401 means."""
    host = url.authority
    retry_after_s = parse_retry_after(headers.get("Retry-After"), datetime.now(UTC))
    if status == _TOO_MANY:
        when = f" for {retry_after_s:.0f} s" if retry_after_s is not None else ""
        what = f"{host} limits how often it is asked and wants to be left alone{when} (429)"
        return RateLimitedError(reference, what, f"log in for a higher limit; {LATER}", status, retry_after_s)
    if status >= _SERVER:
        what = f"{host} has a failure of its own ({status}{said(body)})"
        return RegistryUnavailableError(reference, what, LATER, status, retry_after_s)
    if status == _FORBIDDEN:
        what = f"{host} does not allow {access.doing} {reference.repository} (403{said(body)})"
        return ForbiddenError(reference, what, f"give the account {access.right} to it, or use another one", status)
    if status == _NOT_FOUND:
        what = f"{host} has no {reference.version} of {reference.repository} (404)"
        return ManifestNotFoundError(
            reference, what, "check name and tag, and the credentials if it is private", status
        )
    return malformed(reference, f"{host} answered {status}{said(body)}, which is not expected", status)


def malformed(reference: Reference, what: str, status: int | None = None) -> MalformedAnswerError:
    """An answer that is not what the protocol, or its own digest, says."""
    return MalformedAnswerError(reference, what, _BAD_ANSWER, status)


def said(body: bytes) -> str:
    """The first error that a registry's error document tells, as `: text`; empty if there is none."""
    try:
        first = json.loads(body)["errors"][0]
        text = " ".join(str(first.get("message") or first["code"]).split())
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ""
    return ": " + "".join(letter for letter in text if letter.isprintable())[:160]
