"""Tokens as text: `tg_<id>_<secret>` of people, `te_...` for enrolling an agent, `ts_...` of a session in a browser.

What is kept is the SHA-256 of the secret. The secret has 256 bits, so a slow hash would add nothing.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

PERSON = "tg"
ENROLMENT = "te"
SESSION = "ts"
_BYTES = 32
_FORM = re.compile(r"([a-z]{2})_(\d{1,18})_([A-Za-z0-9_-]{20,100})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that somebody shows: whose row it claims to be, and the secret."""

    id: int
    secret: str = field(repr=False)

    def matches(self, kept: str) -> bool:
        """Whether its secret is the one whose hash was kept; a wrong one takes as long as the right one."""
        return hmac.compare_digest(hashed(self.secret), kept)


def new_secret() -> str:
    """A secret that nobody guesses."""
    return secrets.token_urlsafe(_BYTES)


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def token_text(prefix: str, number: int, secret: str) -> str:
    """A token as it is shown, once."""
    return f"{prefix}_{number}_{secret}"


def read_token(prefix: str, text: str) -> Presented | None:
    """What somebody shows; None where it has not the form of such a token."""
    found = _FORM.fullmatch(text)
    return Presented(int(found[2]), found[3]) if found is not None and found[1] == prefix else None
