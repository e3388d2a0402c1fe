"""What a provider says of itself, and what binds its answer to a browser."""

import base64
import hashlib
from typing import Any

import pytest

from tidegate.manager.oidc.address import is_safe
from tidegate.manager.oidc.attempt import Attempt
from tidegate.manager.oidc.errors import ProviderError
from tidegate.manager.oidc.provider import read_discovered

ISSUER = "https://id.example.com/"
SAID: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example.com/authorize",
    "token_endpoint": "https://id.example.com/token",
    "jwks_uri": "https://id.example.com/keys",
}


def test_the_secret_is_sent_as_the_provider_takes_it() -> None:
    methods = "token_endpoint_auth_methods_supported"
    assert not read_discovered(SAID, ISSUER).in_form
    assert not read_discovered(SAID | {methods: ["client_secret_post", "client_secret_basic"]}, ISSUER).in_form
    assert read_discovered(SAID | {methods: ["client_secret_post"]}, ISSUER).in_form


@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"issuer": "https://id.example.com"}, "letter by letter"),
        ({"issuer": None}, "letter by letter"),
        ({"token_endpoint": "http://id.example.com/token"}, "token_endpoint"),
        ({"jwks_uri": None}, "jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"),
        ({"userinfo_endpoint": 7}, "userinfo_endpoint"),
    ],
)
def test_a_provider_that_is_another_or_is_not_safe_is_refused(other: dict[str, Any], word: str) -> None:
    with pytest.raises(ProviderError, match=word):
        read_discovered(SAID | other, ISSUER)


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("https://id.example.com", True),
        ("http://127.0.0.1:5556/dex", True),
        ("http://[::1]/", True),
        ("http://localhost.example.com", False),
        ("http://id.example.com", False),
        ("https://", False),
        ("ftp://127.0.0.1", False),
        ("x", False),
    ],
)
def test_only_this_machine_may_be_asked_without_tls(text: str, *, safe: bool) -> None:
    assert is_safe(text) is safe


def test_an_attempt_is_what_its_cookie_says_and_goes_on_where_it_was_meant_to() -> None:
    one = Attempt.begin('/rollouts?q=a;b="é"&x=%2F')
    assert Attempt.read(one.text) == one
    assert one.text.isascii()
    assert not set(one.text) & set(';," ')


def test_nothing_of_an_attempt_tells_the_rest_of_it() -> None:
    one, other = Attempt.begin("/"), Attempt.begin("/")
    parts = [one.state, one.nonce, one.verifier, one.challenge, one.secret]
    assert len({*parts, other.state}) == 6
    digest = hashlib.sha256(one.verifier.encode()).digest()
    assert one.challenge == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert len(one.verifier) == 43


def test_only_its_own_state_answers_an_attempt() -> None:
    one = Attempt.begin("/")
    assert one.began(one.state)
    assert not any(one.began(text) for text in ("", "é", one.state[:-1], Attempt.begin("/").state))


@pytest.mark.parametrize("text", ["", ".", "a", "a.", "./"])
def test_a_cookie_that_is_none_is_no_attempt(text: str) -> None:
    assert Attempt.read(text) is None
