import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.registry.challenge import Challenge, ChallengeError, Scheme, parse_challenge

TOKEN = Challenge(Scheme.BEARER, "https://auth.example/token", "registry.example")


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="https://auth.example/token",service="registry.example"',
        'Bearer service="registry.example",realm="https://auth.example/token"',
        'Bearer realm="https://auth.example/token",service="registry.example",',
        'Bearer realm="https://auth.example/token", service="registry.example", scope="repository:a:pull"',
        "Bearer realm=https://auth.example/token,service=registry.example",
        'bearer REALM="https://auth.example/token" , Service="registry.example" , ',
        'BEARER realm = "https://auth.example/token", service = registry.example',
        'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull,push"',
        'Bearer realm="https:\\/\\/auth.example/token",service="registry.example"',
        'Bearer realm="https://auth.example/token",service="registry.example",error="invalid_token"',
        'Bearer realm="https://auth.example/token",service="registry.example", Basic realm="x"',
    ],
)
def test_attributes_come_quoted_or_not_in_any_order_and_with_a_trailing_comma(header: str) -> None:
    assert parse_challenge(header) == TOKEN


@pytest.mark.parametrize(
    "header",
    [
        *('Basic realm="x"', "basic realm=x", 'Basic realm="x",', "Basic"),
        *(
            'Negotiate, Basic realm="x"',
            "Negotiate YWJj==, Basic",
            'Digest a=", Bearer", basic = 1, Basic realm="x"',
        ),
    ],
)
def test_basic_needs_no_service(header: str) -> None:
    assert parse_challenge(header).scheme is Scheme.BASIC


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (None, "no WWW-Authenticate"),
        ("  ", "no WWW-Authenticate"),
        ("Digest realm=x", "neither Basic nor Bearer"),
        ('Digest realm="a, Basic b"', "neither Basic nor Bearer"),
        ("Bearer", "names no realm"),
        ('Bearer service="s"', "names no realm"),
        ('Bearer realm="",service="s"', "names no realm"),
        ('Bearer realm="r"', "names no service"),
        ('Bearer realm="r",service=""', "names no service"),
        ('Bearer realm="unfinished', "cannot be read"),
        ('Bearer realm="a" service="b"', "cannot be read"),
    ],
)
def test_what_says_too_little_is_an_error(header: str | None, why: str) -> None:
    with pytest.raises(ChallengeError, match=why):
        parse_challenge(header)


@given(st.text(max_size=60) | st.text(alphabet='Bearer realmsvc="\\,; =', max_size=60).map("Bearer ".__add__))
def test_any_header_is_a_challenge_or_a_challenge_error(header: str) -> None:
    try:
        challenge = parse_challenge(header)
    except ChallengeError:
        return
    assert challenge.scheme is Scheme.BASIC or (challenge.realm and challenge.service)
