"""Routes for readers of feeds, which send no bearer token: they may show one as the password of HTTP Basic."""

import base64
from typing import Final

from fastapi import APIRouter, Request

from tidegate.manager.api.door import Whose, address_of, bearer, unauthorized
from tidegate.manager.api.router import GuardedRoute
from tidegate.manager.parts import Parts
from tidegate.manager.people.known_tokens import KnownTokens
from tidegate.manager.people.tokens import TokenRefusedError, Who

_SCHEME: Final = "basic"
_CHALLENGE: Final = 'Basic realm="Tidegate", charset="UTF-8"'


class ReaderRoute(GuardedRoute):
    """A route that takes a token both ways; who shows none is asked for a password."""

    schemes = ("token", "password")

    def whose(self) -> Whose:
        """Tells whose request it is."""
        return _by_either


def reader_router(tag: str) -> APIRouter:
    """A router of such routes, below no prefix."""
    return APIRouter(tags=[tag], route_class=ReaderRoute)


async def _by_either(request: Request) -> Who:
    text = _password(request) or bearer(request)
    if text is None:
        raise unauthorized("the request has no token; show one as the password, with any user name", _CHALLENGE)
    parts: Parts = request.app.state.parts
    try:
        return await parts.one(KnownTokens).who(text, address_of(request))
    except TokenRefusedError as error:
        raise unauthorized(str(error), _CHALLENGE) from None


def _password(request: Request) -> str | None:
    """None where there is none, or it cannot be read."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != _SCHEME:
        return None
    try:
        shown = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:
        return None
    return shown.partition(":")[2].strip() or None
