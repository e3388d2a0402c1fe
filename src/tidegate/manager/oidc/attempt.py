"""One attempt to sign in: what binds the provider's answer to the browser that asked (RFC 6749 10.12, RFC 7636).

All of it is made of one secret, which only that browser has, in a cookie. The cookie is not signed: who can write one
into a browser could write one that the manager has signed for himself as well.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from tidegate.manager.people.secrets import new_secret

LASTS_S = 600
"""A second factor may take a while."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """`to` is the page to go on to afterwards."""

    secret: str = field(repr=False)
    to: str

    @classmethod
    def begin(cls, to: str) -> "Attempt":
        """A new one."""
        return cls(new_secret(), to)

    @classmethod
    def read(cls, text: str) -> "Attempt | None":
        """The one whose `text` it is; None: it is none's."""
        secret, _, to = text.partition(".")
        return cls(secret, unquote(to)) if secret and to else None

    @property
    def text(self) -> str:
        """For the cookie."""
        return f"{self.secret}.{quote(self.to, safe='/')}"

    @property
    def state(self) -> str:
        """The answer has it, too."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The ID token has it, too."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """PKCE's: shown when the code is exchanged. 43 characters."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """What the provider knows of the verifier (S256)."""
        return _base64(hashlib.sha256(self.verifier.encode()).digest())

    def began(self, state: str) -> bool:
        """Whether an answer with this state is to this attempt."""
        return hmac.compare_digest(self.state.encode(), state.encode())

    def _derived(self, what: str) -> str:
        return _base64(hmac.digest(self.secret.encode(), what.encode(), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
