"""The session's cookie: nothing that a script can read, and nothing that is sent along from other sites' forms.

Another one, as good, is of who is on the way to an OpenID provider and back.
"""

from datetime import timedelta

from fastapi import Request
from starlette.responses import Response

from tidegate.manager.api.door import address_of, unauthorized
from tidegate.manager.parts import Parts
from tidegate.manager.people import sessions
from tidegate.manager.people.secrets import SESSION, read_token
from tidegate.manager.people.tokens import Who

OF_SESSION = "tidegate"
OF_ATTEMPT = "tidegate-oidc"


async def signed_in(request: Request) -> Who:
    """Whose session a request shows. Raises `Problem`, `TokenRefusedError` and `StoreUnavailableError`."""
    parts: Parts = request.app.state.parts
    text = shown_cookie(request, OF_SESSION)
    if not text:
        raise unauthorized("nobody has signed in", "Cookie")
    async with parts.db.read() as conn:
        session = await sessions.find(conn, read_token(SESSION, text), parts.clock(), address_of(request))
    request.state.session, request.state.who = session, session.who  # also for the page that refuses what is asked
    return session.who


def shown_cookie(request: Request, name: str) -> str:
    """What a browser shows by this name; nothing where it shows none."""
    return request.cookies.get(_full(request, name), "")


def set_cookie(request: Request, response: Response, text: str, lasts: timedelta, name: str = OF_SESSION) -> None:
    """Have the browser show this from now on."""
    response.set_cookie(
        _full(request, name),
        text,
        max_age=int(lasts.total_seconds()),
        path="/",
        secure=_over_tls(request),
        httponly=True,
        samesite="lax",  # a link in a mail leads to the page that it names; what writes is looked at in `same_site`
    )


def drop_cookie(request: Request, response: Response, name: str = OF_SESSION) -> None:
    """Have the browser forget it."""
    response.delete_cookie(_full(request, name), path="/", secure=_over_tls(request), httponly=True, samesite="lax")


def _full(request: Request, name: str) -> str:
    """Over TLS with the prefix by which browsers take it from this host alone, and over TLS alone."""
    return f"__Host-{name}" if _over_tls(request) else name


def _over_tls(request: Request) -> bool:
    return request.url.scheme == "https"
