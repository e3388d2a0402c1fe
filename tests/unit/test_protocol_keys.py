"""A signature is good for one key and for what was signed, and anything malformed is not."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tidegate.protocol.keys import InvalidKeyError, is_public, load_key, make_key, public_text, sign, verify

PEM = make_key()
KEY = load_key(PEM)
PUBLIC = public_text(KEY)


def test_a_key_is_the_same_after_it_was_stored() -> None:
    assert public_text(load_key(PEM)) == PUBLIC
    assert public_text(load_key(make_key())) != PUBLIC


def test_a_signature_is_good_for_its_key_and_its_data_alone() -> None:
    signature = sign(KEY, b"data")
    other = load_key(make_key())
    assert verify(PUBLIC, b"data", signature)
    assert not verify(PUBLIC, b"dat4", signature)
    assert not verify(public_text(other), b"data", signature)
    assert not verify(PUBLIC, b"data", sign(other, b"data"))


@given(st.text() | st.binary(max_size=80).map(lambda raw: base64.b64encode(raw).decode()))
def test_what_is_no_signature_or_no_key_verifies_nothing(text: str) -> None:
    assert not verify(PUBLIC, b"data", text)
    assert not verify(text, b"data", sign(KEY, b"data"))


def test_a_key_has_one_spelling() -> None:
    assert is_public(PUBLIC)
    last = PUBLIC[-2]  # of its six bits the last two say nothing
    twin = PUBLIC[:-2] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[_index(last) ^ 1] + "="
    assert base64.b64decode(twin) == base64.b64decode(PUBLIC)
    assert not is_public(twin)


def _index(letter: str) -> int:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(letter)


def test_what_is_no_key_is_told_without_being_shown() -> None:
    secret = "c2VjcmV0"
    with pytest.raises(InvalidKeyError, match="no private key in PEM") as caught:
        load_key(f"-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n")
    assert secret not in str(caught.value)


def test_a_key_of_another_kind_is_refused() -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(InvalidKeyError, match="another kind"):
        load_key(pem.decode())
