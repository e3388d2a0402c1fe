"""Whether an ID token is the provider's, for this manager, and of this attempt (OpenID Connect Core 3.1.3.7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from tidegate.manager.oidc.errors import ProviderError, told

ALGORITHMS = tuple(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512))
"""Those by which only who has the provider's private key signs: neither `none` nor HMAC."""
_LEEWAY_S = 60
"""Clocks differ."""


class KeyNotKnownError(ProviderError):
    """It is signed by none of these keys. The provider may have newer ones."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What it has to say: by whom, for whom, and of which attempt it is."""

    issuer: str
    client_id: str
    nonce: str


def check(text: str, keys: KeySet, expected: Expected, now: datetime) -> Mapping[str, Any]:
    """Its claims. Raises `KeyNotKnownError` and `ProviderError`."""
    try:
        claims = jwt.decode(text, keys, registry=JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)).claims
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise KeyNotKnownError(f"its ID token is signed by a key that it does not publish ({told(error)})") from error
    except (JoseError, ValueError) as error:
        raise _refused(error) from error
    _check_claims(claims, expected, int(now.timestamp()))
    return claims


def _check_claims(claims: Mapping[str, Any], expected: Expected, now: int) -> None:
    registry = jwt.JWTClaimsRegistry(
        now,
        _LEEWAY_S,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        nonce={"essential": True, "value": expected.nonce},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        registry.validate(dict(claims))
    except (JoseError, ValueError, TypeError, OverflowError) as error:
        raise _refused(error) from error
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else expected.client_id) != expected.client_id:
        raise ProviderError("its ID token was issued for somebody else (azp)")


def _refused(error: Exception) -> ProviderError:
    return ProviderError(f"its ID token cannot be accepted ({told(error)})")
