"""Whether a webhook comes from who may send it. Without a secret for its kind, nothing does."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping

from tidegate.domain.webhook import Kind, is_signed

SIGNATURE = "x-hub-signature-256"


def is_authentic(kind: Kind, headers: Mapping[str, str], body: bytes, secret: str | None) -> bool:
    """Whether the request shows the secret: GitHub by a signature of the body, the others in Authorization.

    A generic one may be signed as GitHub's are; one that is signed wrong is not looked at further. `headers` are by
    lower-case names. The header may be the secret itself, `Bearer SECRET`, or `Basic` with the secret as the password.
    A wrong one takes as long as the right one.
    """
    if not secret:
        return False
    if kind is Kind.GITHUB or (kind is Kind.GENERIC and SIGNATURE in headers):
        return is_signed(body, headers.get(SIGNATURE, ""), secret)
    shown = list(_shown(headers.get("authorization", "").strip()))
    return any([_same(one, secret) for one in shown])  # noqa: C419 - all of them are compared, whichever is right


def is_secret(shown: str, secret: str | None) -> bool:
    """Whether that is the secret; without one nothing is. A wrong one takes as long as the right one."""
    return bool(secret) and _same(shown, secret or "")


def _shown(header: str) -> Iterator[str]:
    scheme, _, rest = header.partition(" ")
    yield header
    if scheme.lower() == "bearer":
        yield rest.strip()
    if scheme.lower() == "basic":
        yield _password(rest.strip())


def _password(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _same(shown: str, secret: str) -> bool:
    """Of hashes, so that not even the length is told."""
    one, other = (hashlib.sha256(text.encode(errors="surrogatepass")).digest() for text in (shown, secret))
    return hmac.compare_digest(one, other)
