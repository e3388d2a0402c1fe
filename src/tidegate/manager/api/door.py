"""Whether a request comes in: its token, its role, how often."""

from fastapi import Request

from tidegate.manager.api.access import Access
from tidegate.manager.api.limits import RateLimit
from tidegate.manager.api.problems import FORBIDDEN, UNAUTHORIZED, Problem
from tidegate.manager.parts import Parts
from tidegate.manager.people.known_tokens import KnownTokens
from tidegate.manager.people.roles import allowed, roles_with
from tidegate.manager.people.tokens import TokenRefusedError, Who
from tidegate.manager.people.uses import TokenUses

_SCHEME = "bearer"


class Door:
    """One of a process: it remembers how often who came."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tokens = RateLimit(parts.settings.rate)
        self._addresses = RateLimit(parts.settings.rate_address)
        self._uses = parts.one(TokenUses)
        self._known = parts.one(KnownTokens)

    async def admit(self, request: Request, access: Access | None) -> Who | None:
        """Whose request it is, None where that does not matter. Raises `Problem`."""
        if access is None:
            detail = "This route does not say who may use it, so nobody may; that is a fault of the manager."
            raise Problem(FORBIDDEN, "undeclared", detail)
        opened = access.opened_by is not None and access.opened_by(self._parts.settings)
        if access.permission is None or opened:
            return None
        who = await self._who(request)
        self._tokens.check(str(who.token_id), f"Token {who.token_id}")
        if not allowed(who.role, access.permission):
            raise _forbidden(who, access)
        self._uses.saw(who.token_id)
        return who

    def slow_down(self, request: Request) -> None:
        """Count a request that shows no good token. Raises `Problem` where there are too many of the address."""
        address = address_of(request)
        self._addresses.check(address, f"Address {address}")

    async def _who(self, request: Request) -> Who:
        text = _bearer(request)
        if text is None:
            self.slow_down(request)
            raise _unauthorized("the request has no `Authorization: Bearer tg_...` header", "Bearer")
        try:
            return await self._known.who(text, address_of(request))
        except TokenRefusedError as error:
            self.slow_down(request)
            raise _unauthorized(str(error), 'Bearer error="invalid_token"') from None


def address_of(request: Request) -> str:
    """The address that a request came from; a trusted proxy's word for it where there is one."""
    return request.client.host if request.client else ""


def _bearer(request: Request) -> str | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == _SCHEME and text.strip() else None


def _unauthorized(why: str, challenge: str) -> Problem:
    detail = f"{why[0].upper()}{why[1:]}; an administrator makes one with `tidegate token create`."
    return Problem(UNAUTHORIZED, "unauthorized", detail, headers={"WWW-Authenticate": challenge})


def _forbidden(who: Who, access: Access) -> Problem:
    assert access.permission is not None  # noqa: S101 - for the type checker
    roles = [str(role) for role in roles_with(access.permission)]
    detail = f"This takes a token of {' or '.join(roles)}; the one of {who.user} is {who.role}."
    return Problem(FORBIDDEN, "forbidden", detail, accepted=roles)
