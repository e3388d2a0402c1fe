"""A credential, which never shows its secret."""

import base64
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """An account at a registry. `source` says to people where it came from; secrets stay out of `repr`.

    With an `identity_token` the token service is asked with that, and the password is empty.
    """

    username: str
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""


class CredentialsUnusableError(Exception):
    """Configured credentials cannot be read. `what` happened and the `remedy`, as clauses; no secrets."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


def basic_header(username: str, password: str) -> str:
    """The Authorization header of a user name and a password."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
