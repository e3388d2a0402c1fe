"""Secrets are taken out of what programs write, as far as they can be told from other words."""

import pytest

from tidegate.domain.masking import masked

SECRET = "hunter2-and-more"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75w\nq3x9ab\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("DB_PASSWORD", SECRET, f"cannot log in with {SECRET} at db"),
        ("API_TOKEN", 'a"b\\c d', r'{"sent": "a\"b\\c d"}'),
        ("API_TOKEN", "a/b c+d", "GET /?t=a%2Fb%20c%2Bd"),
        ("STRIPE_KEY", f" {SECRET}\n", f"using {SECRET}."),
        ("TLS_PRIVATE", KEY, "read MIIEpAIBAAKCAQEA75w, then"),
        ("DATABASE_URL", f"postgres://app:{SECRET}@db/app", f"password {SECRET} was refused"),
        ("PIN_SECRET", "123456", "wrong pin 123456"),
    ],
)
def test_values_of_secret_variables_are_found_wherever_they_stand(name: str, value: str, text: str) -> None:
    found = masked(text, {name: value, "MODE": "at"})
    assert "***" in found
    for piece in (SECRET, "a/b", "a%2F", r"b\\c", "MIIE", "123456"):
        assert piece not in found
    assert masked("nothing of it", {name: value}) == "nothing of it"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"connect postgres://app:{SECRET}@db:5432/app", "connect postgres://***@db:5432/app"),
        (f"Authorization: Bearer {SECRET}", "Authorization: ***"),
        (f'"authorization": "Basic {SECRET}", "x": 1', '"authorization": "***", "x": 1'),
        (f"sent bearer {SECRET}", "sent bearer ***"),
        (f"DB_PASSWORD={SECRET} MODE=x", "DB_PASSWORD=*** MODE=x"),
        (f'{{"client_secret": "{SECRET}", "id": 7}}', '{"client_secret": ***, "id": 7}'),
        (f"api-key: '{SECRET} {SECRET}' ok", "api-key: *** ok"),
        (f"set cookie={SECRET}; path", "set cookie=***; path"),
        ("got eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl now", "got *** now"),
        ("ghp_0123456789abcdefghij01 AKIAABCDEFGHIJKLMNOP tg_7_abcdefghijklmnopqrstuvwx", "*** *** ***"),
        (f"before\n{KEY}\nafter", "before\n***\nafter"),
        ("before\n-----BEGIN PRIVATE KEY-----\nMIIEpAIBAAKCAQEA75w", "before\n***"),
        ("MIIEpAIBAAKCAQEA75w\nq3x9abcdefghijklmnop\n-----END PRIVATE KEY-----\nafter", "***\nafter"),
    ],
)
def test_what_has_the_form_of_a_secret_is_masked(text: str, expected: str) -> None:
    assert masked(text, {}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "listening on http://0.0.0.0:8000, true to its name",
        "the password is wrong",
        "no such key: colour",
        "secret://vault is the scheme",
        "compass ready in 3600 s",
        "see docs/basic auth",
    ],
)
def test_other_words_stay_as_they_are(text: str) -> None:
    assert masked(text, {"AUTH_ENABLED": "true", "TOKEN_TTL": "3600", "EMPTY_KEY": "", "PATH": "docs"}) == text


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "piece",
    ["a", "password", "-----BEGIN PRIVATE KEY-----", "A" * 16 + " ", "token:", "://", "eyJ" + "a" * 8 + ".", "x="],
)
def test_no_text_takes_for_ever(piece: str) -> None:
    """What grows with the square of the length would take minutes."""
    text = piece * (256 * 1024 // len(piece))
    assert len(masked(text, {"A_KEY": "aaaa"})) <= 3 * len(text)
