"""An ID token that is not the provider's, for this manager, and of this attempt opens nothing."""

import base64
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, KeySet, RSAKey
from joserfc.jws import JWSRegistry

from tidegate.manager.oidc.errors import ProviderError
from tidegate.manager.oidc.id_token import Expected, KeyNotKnownError, check

NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
EXPECTED = Expected("https://id.example.com/", "tidegate", "n0nce")
KEY = RSAKey.generate_key(2048, auto_kid=True)
OTHER = RSAKey.generate_key(2048, auto_kid=True)
CLAIMS: Mapping[str, Any] = {
    "iss": "https://id.example.com/",
    "aud": "tidegate",
    "sub": "u1",
    "nonce": "n0nce",
    "iat": NOW.timestamp(),
    "exp": (NOW + timedelta(minutes=5)).timestamp(),
}


def signed(key: Key = KEY, algorithm: str = "RS256", *, without: str = "", **other: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **other}.items() if name != without}
    header = {"alg": algorithm, "kid": key.kid or ""}
    return jwt.encode(header, claims, key, registry=JWSRegistry(algorithms=[algorithm]))


def published(*keys: Key) -> KeySet:
    return KeySet.import_key_set(KeySet(list(keys)).as_dict(private=False))


def checked(text: str, *keys: Key) -> Mapping[str, Any]:
    return check(text, published(*(keys or (KEY, OTHER))), EXPECTED, NOW)


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"aud": ["tidegate"]},
        {"aud": ["tidegate", "another"], "azp": "tidegate"},
        {"exp": (NOW - timedelta(seconds=30)).timestamp()},
        {"iat": (NOW + timedelta(seconds=30)).timestamp()},
    ],
)
def test_what_the_provider_signed_for_this_manager_counts(other: dict[str, Any]) -> None:
    assert checked(signed(**other))["sub"] == "u1"


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
def test_it_may_be_signed_by_any_algorithm_of_two_keys(algorithm: str) -> None:
    assert checked(signed(algorithm=algorithm))["sub"] == "u1"


def test_it_may_be_signed_by_a_curve() -> None:
    key = ECKey.generate_key("P-256", auto_kid=True)
    assert checked(signed(key, "ES256"), key, KEY)["sub"] == "u1"


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"exp": (NOW - timedelta(seconds=61)).timestamp()}, "expired"),
        ({"exp": float("nan")}, "exp"),
        ({"iat": (NOW + timedelta(seconds=61)).timestamp()}, "future"),
        ({"nbf": (NOW + timedelta(seconds=61)).timestamp()}, "not yet"),
        ({"iss": "https://id.example.com"}, "iss"),
        ({"aud": "another"}, "aud"),
        ({"aud": ["another"]}, "aud"),
        ({"aud": ["tidegate", "another"]}, "azp"),
        ({"azp": "another"}, "azp"),
        ({"nonce": "another"}, "nonce"),
        ({"sub": ""}, "sub"),
        ({"sub": 7}, "sub"),
        *(({"without": name}, name) for name in CLAIMS),
    ],
)
def test_what_it_says_has_to_be_so(other: dict[str, Any], word: str) -> None:
    with pytest.raises(ProviderError, match=word):
        checked(signed(**other))


def by_hand(header: Mapping[str, Any], secret: bytes | None) -> str:
    """Signed as no library would: with no key, or by HMAC with this one."""
    head, body = (_base64(json.dumps(part).encode()) for part in (header, CLAIMS))
    mac = b"" if secret is None else hmac.digest(secret, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{_base64(mac)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@pytest.mark.parametrize("name", ["none", "None", "NONE", ""])
def test_one_that_is_not_signed_is_none(name: str) -> None:
    with pytest.raises(ProviderError, match="cannot be accepted"):
        checked(by_hand({"alg": name, "kid": KEY.kid}, None), KEY)


@pytest.mark.parametrize("encoding", ["PEM", "DER"])
def test_the_public_key_is_no_password(encoding: Literal["PEM", "DER"]) -> None:
    public = KEY.as_bytes(encoding, private=False)
    with pytest.raises(ProviderError, match="cannot be accepted"):
        checked(by_hand({"alg": "HS256", "kid": KEY.kid}, public), KEY)


@pytest.mark.parametrize("keys", [(OTHER,), (OTHER, RSAKey.generate_key(2048, auto_kid=True))])
def test_a_key_that_is_not_published_is_told_apart_for_there_may_be_newer_ones(keys: tuple[Key, ...]) -> None:
    with pytest.raises(KeyNotKnownError):
        checked(signed(), *keys)


def test_another_key_by_the_same_name_opens_nothing() -> None:
    false = RSAKey.import_key(OTHER.as_dict(private=True) | {"kid": KEY.kid or ""})
    with pytest.raises(KeyNotKnownError):
        checked(signed(false))


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "é.é.é", "..", f"{signed()[:-8]}AAAAAAAA"])
def test_what_is_none_is_refused_as_such(text: str) -> None:
    with pytest.raises(ProviderError):
        checked(text)
