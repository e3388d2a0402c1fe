"""Who sent a request is known by its signature, and only as long as the clocks agree."""

from __future__ import annotations

import pytest

from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.problems import Code
from tidegate.protocol.requests import (
    SKEW_S,
    Claim,
    canonical,
    enrol_proof,
    fault_of,
    proof_holds,
    read_claim,
    signed_headers,
)

KEY = load_key(make_key())
PUBLIC = public_text(KEY)
NOW_S = 1_800_000_000
PATH = "/api/v1/agent/poll?x=1"
BODY = b'{"cursor":0}'


def claim(at_s: int = NOW_S) -> Claim:
    found = read_claim(signed_headers(KEY, "a1", "POST", PATH, BODY, time_s=at_s))
    assert found is not None
    return found


def test_what_is_signed_is_spelt_out() -> None:
    assert canonical("post", "/p?q", 7, b"") == (
        b"tidegate-request-v1\nPOST\n/p?q\n7\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )


def test_a_request_is_known_by_its_signature() -> None:
    assert claim().agent == "a1"
    assert fault_of(claim(), PUBLIC, "POST", PATH, BODY, now_s=NOW_S) is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("PUT", PATH, BODY), ("POST", "/api/v1/agent/poll?x=2", BODY), ("POST", PATH, b"{}")],
)
def test_a_request_that_was_changed_is_not(method: str, path: str, body: bytes) -> None:
    assert fault_of(claim(), PUBLIC, method, path, body, now_s=NOW_S) is Code.BAD_SIGNATURE


def test_a_request_of_another_key_is_not() -> None:
    assert fault_of(claim(), public_text(load_key(make_key())), "POST", PATH, BODY, now_s=NOW_S) is Code.BAD_SIGNATURE


def test_the_time_is_signed_too() -> None:
    moved = Claim("a1", NOW_S + 1, claim().signature)
    assert fault_of(moved, PUBLIC, "POST", PATH, BODY, now_s=NOW_S) is Code.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("off_s", "fault"),
    [(SKEW_S, None), (-SKEW_S, None), (SKEW_S + 1, Code.CLOCK_SKEW), (-SKEW_S - 1, Code.CLOCK_SKEW)],
)
def test_the_clocks_may_be_off_by_five_minutes(off_s: int, fault: Code | None) -> None:
    assert fault_of(claim(NOW_S + off_s), PUBLIC, "POST", PATH, BODY, now_s=NOW_S) is fault


@pytest.mark.parametrize("time_s", ["", "-1", "1e9", "\u0661", "1" * 13, " 1"])
def test_headers_that_say_no_time_claim_nothing(time_s: str) -> None:
    headers = signed_headers(KEY, "a1", "POST", PATH, BODY, time_s=NOW_S)
    assert read_claim({**headers, "Tidegate-Time": time_s}) is None


def test_headers_are_found_in_lower_case_too() -> None:
    headers = signed_headers(KEY, "a1", "POST", PATH, BODY, time_s=NOW_S)
    assert read_claim({name.lower(): value for name, value in headers.items()}) == claim()
    assert read_claim({}) is None


def test_an_enrolment_proves_the_key_for_one_token() -> None:
    proof = enrol_proof(KEY, "token")
    assert proof_holds(PUBLIC, "token", proof)
    assert not proof_holds(PUBLIC, "token2", proof)
    assert not proof_holds(public_text(load_key(make_key())), "token", proof)
