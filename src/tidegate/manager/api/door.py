"""Whether a request comes in: its token, its role, how often."""

import ipaddress
from collections.abc import Awaitable, Callable

from fastapi import Request

from tidegate.manager.agents.known import Agent
from tidegate.manager.api.access import Access
from tidegate.manager.api.limits import RateLimit
from tidegate.manager.api.problems import FORBIDDEN, UNAUTHORIZED, Problem
from tidegate.manager.parts import Parts
from tidegate.manager.people.known_tokens import KnownTokens
from tidegate.manager.people.roles import allowed, roles_with
from tidegate.manager.people.tokens import TokenRefusedError, Who
from tidegate.manager.people.uses import TokenUses

_SCHEME = "bearer"
_IPV4 = 4
_OF_ONE = 64
"""Bits."""


Whose = Callable[[Request], Awaitable[Who]]
"""Tells whose request it is."""


class Door:
    """One of a process: it remembers how often who came."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._tokens = RateLimit(parts.settings.rate)
        self._addresses = RateLimit(parts.settings.rate_address)
        self._agents = RateLimit(parts.settings.rate_agent)
        self._uses = parts.one(TokenUses)
        self._known = parts.one(KnownTokens)

    async def admit(self, request: Request, access: Access | None, whose: Whose | None = None) -> Who | None:
        """Whose request it is, None where that does not matter; `whose` tells, by default its token. Raises `Problem`.

        `whose` raises `TokenRefusedError`, or `Problem` where nothing is shown.
        """
        if access is None:
            detail = "This route does not say who may use it, so nobody may; that is a fault of the manager."
            raise Problem(FORBIDDEN, "undeclared", detail)
        opened = access.opened_by is not None and access.opened_by(self._parts.settings)
        if access.permission is None or opened:
            if access.counted:
                self.slow_down(request)
            return None
        who = await self._who(request, whose or self._by_token)
        self._tokens.check(str(who.token_id), f"Token {who.token_id}")
        if not allowed(who.role, access.permission):
            raise _forbidden(who, access)
        self._uses.saw(who.token_id)
        return who

    def slow_down(self, request: Request) -> None:
        """Count a request that shows nothing good. Raises `Problem` where there are too many of the address."""
        network = network_of(address_of(request))
        self._addresses.check(network, f"Address {network}")

    def count_agent(self, agent: Agent) -> None:
        """Count a request that an agent has signed. Raises `Problem` where there are too many of it."""
        self._agents.check(agent.id, f"Agent {agent.name}")

    def forgive(self, request: Request) -> None:
        """It was good, and does not count: many agents may share an address."""
        self._addresses.give_back(network_of(address_of(request)))

    async def _who(self, request: Request, whose: Whose) -> Who:
        try:
            return await whose(request)
        except TokenRefusedError as error:
            self.slow_down(request)
            raise unauthorized(str(error), 'Bearer error="invalid_token"') from None
        except Problem:
            self.slow_down(request)
            raise

    async def _by_token(self, request: Request) -> Who:
        text = bearer(request)
        if text is None:
            raise unauthorized("the request has no `Authorization: Bearer tg_...` header", "Bearer")
        return await self._known.who(text, address_of(request))


def address_of(request: Request) -> str:
    """The address that a request came from; a trusted proxy's word for it where there is one."""
    return request.client.host if request.client else ""


def network_of(address: str) -> str:
    """What is counted as one: an address, or the network of IPv6 that whoever has one has all of."""
    try:
        one = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if one.version == _IPV4 else str(ipaddress.ip_network((one, _OF_ONE), strict=False))


def bearer(request: Request) -> str | None:
    """The token of a request's header; None where there is none."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    return text.strip() if scheme.lower() == _SCHEME and text.strip() else None


def unauthorized(why: str, challenge: str) -> Problem:
    """Somebody who shows nothing good."""
    detail = f"{why[0].upper()}{why[1:]}; an administrator makes one with `tidegate token create`."
    return Problem(UNAUTHORIZED, "unauthorized", detail, headers={"WWW-Authenticate": challenge})


def _forbidden(who: Who, access: Access) -> Problem:
    assert access.permission is not None  # noqa: S101 - for the type checker
    roles = [str(role) for role in roles_with(access.permission)]
    detail = f"This takes a token of {' or '.join(roles)}; the one of {who.user} is {who.role}."
    return Problem(FORBIDDEN, "forbidden", detail, accepted=roles)
