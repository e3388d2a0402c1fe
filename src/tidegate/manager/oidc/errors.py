"""Why somebody is not signed in by OpenID Connect. The messages are for who wants to be, and show no secret."""

from http import HTTPStatus

_LONGEST = 300


class OidcError(Exception):
    """`status` is what the page is answered with."""

    status = HTTPStatus.BAD_REQUEST


class AttemptError(OidcError):
    """The answer does not belong to what this browser asked for."""


class ProviderError(OidcError):
    """The provider cannot be asked, or what it says cannot be believed."""

    status = HTTPStatus.BAD_GATEWAY


class NotLetInError(OidcError):
    """The provider says who it is; that is nobody who may come in."""

    status = HTTPStatus.FORBIDDEN


def told(text: object) -> str:
    """What somebody else said, as a message may hold it: in one line, and not too much of it."""
    line = " ".join("".join(one if one.isprintable() else " " for one in str(text)).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
