"""Ed25519 keys: of an agent, which signs its requests, and of a manager, which signs what it tells agents to do."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64

Key = Ed25519PrivateKey


class InvalidKeyError(ValueError):
    """It is no key that can be used; the message says why, and never what it holds."""


def make_key() -> str:
    """A new private key, as PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_key(pem: str) -> Key:
    """A private key from its PEM. Raises `InvalidKeyError`."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidKeyError("it is no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidKeyError("it is a private key of another kind than Ed25519")
    return key


def public_text(key: Key) -> str:
    """The public half, as base64 of its 32 bytes."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def is_public(text: str) -> bool:
    """Whether it is what `public_text` writes."""
    return _raw(text, _KEY_BYTES) is not None


def sign(key: Key, data: bytes) -> str:
    """The signature over `data`, as base64."""
    return base64.b64encode(key.sign(data)).decode()


def verify(public: str, data: bytes, signature: str) -> bool:
    """Whether `signature` is that of the key whose public half is `public`. Anything malformed is not."""
    raw_key, raw_signature = _raw(public, _KEY_BYTES), _raw(signature, _SIGNATURE_BYTES)
    if raw_key is None or raw_signature is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(raw_key).verify(raw_signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _raw(text: str, length: int) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    # one spelling only: what is compared and stored is the text
    return raw if len(raw) == length and base64.b64encode(raw).decode() == text else None
