"""Signing in by an OpenID provider: the way there, and the way back.

Both are reached by links and redirects, never by a form: a browser holds where a form leads to, redirects included,
against `form-action`.
"""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import Query, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.access import anybody
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.door import address_of
from tidegate.manager.api.problems import not_found
from tidegate.manager.console.cookie import OF_ATTEMPT, drop_cookie, set_cookie, shown_cookie
from tidegate.manager.console.router import SIGN_IN, console_router
from tidegate.manager.console.routes.sign_in import begin_session, let_in, local, sign_in_page
from tidegate.manager.oidc.attempt import LASTS_S, Attempt
from tidegate.manager.oidc.errors import AttemptError, NotLetInError, OidcError, told
from tidegate.manager.oidc.parts import provider
from tidegate.manager.oidc.person import person
from tidegate.manager.oidc.provider import Provider
from tidegate.manager.parts import Parts
from tidegate.manager.people.accounts import Account, arrive
from tidegate.manager.people.tokens import UserNameRefusedError
from tidegate.manager.settings import CALLBACK

router = console_router()
_ANYBODY = [anybody("who signs in is sent to the provider here, and comes back from it")]
_log = structlog.get_logger(__name__)
_Text = Annotated[str, Field(max_length=8000)]


class Said(BaseModel):
    """What the provider has the browser bring; whatever else it has it bring does not matter."""

    state: _Text = ""
    code: _Text = ""
    iss: _Text = ""
    error: _Text = ""
    error_description: _Text = ""


@router.get(f"{SIGN_IN}/oidc", dependencies=_ANYBODY)
async def go(request: Request, parts: PartsHere, next: Annotated[str, Query(max_length=2000)] = "/") -> Response:  # noqa: A002
    """Send the browser to the provider."""
    attempt = Attempt.begin(local(next))
    try:
        answer = RedirectResponse(await _provider(parts).begin(attempt), HTTPStatus.SEE_OTHER)
    except OidcError as error:
        return _refused(request, parts, attempt.to, error)
    set_cookie(request, answer, attempt.text, timedelta(seconds=LASTS_S), OF_ATTEMPT)
    return answer


@router.get(CALLBACK, dependencies=_ANYBODY)
async def come_back(request: Request, parts: PartsHere, said: Annotated[Said, Query()]) -> Response:
    """Begin a session, if the provider says that it is somebody who may come in."""
    it = _provider(parts)
    attempt = Attempt.read(shown_cookie(request, OF_ATTEMPT))
    to = attempt.to if attempt else "/"
    try:
        text = await _arrived(request, parts, it, await it.claims(*_checked(said, attempt, it.issuer)))
    except OidcError as error:
        answer = _refused(request, parts, to, error)
    else:
        answer = let_in(request, parts, text, local(to))
    drop_cookie(request, answer, OF_ATTEMPT)
    return answer


def _provider(parts: Parts) -> Provider:
    found = parts.one(provider)
    if found is None:
        raise not_found("way to sign in by OpenID Connect", "TIDEGATE_OIDC_ISSUER is not set.")
    return found


def _checked(said: Said, attempt: Attempt | None, issuer: str) -> tuple[str, Attempt]:
    """The code, and the attempt that it is the answer to. Raises `OidcError`.

    The state comes first: else another site could have somebody be signed in as somebody else, or read its own words.
    """
    if attempt is None or not attempt.began(said.state):
        raise AttemptError(
            "the answer is none to what this browser asked last, or it came too late; begin anew, in one window"
        )
    if said.iss and said.iss != issuer:  # RFC 9207
        raise AttemptError(f"another provider has answered ({told(said.iss)})")
    if said.error:
        raise NotLetInError(f"the provider refused: {told(f'{said.error} {said.error_description}')}")
    return said.code, attempt


async def _arrived(request: Request, parts: Parts, it: Provider, claims: Mapping[str, Any]) -> str:
    """The text of a new session. Raises `NotLetInError`."""
    who = person(claims, it.rules)
    account = Account(it.issuer, who.sub, who.user, who.role)
    lasts = timedelta(seconds=parts.settings.session_s)
    async with parts.db.write() as conn:
        try:
            come = await arrive(conn, account, parts.clock(), lasts, address_of(request))
        except UserNameRefusedError as error:
            raise NotLetInError(str(error)) from error
        about = {"issuer": it.issuer, "sub": who.sub, "role": str(who.role)}
        return await begin_session(conn, parts, come, about)


def _refused(request: Request, parts: Parts, to: str, error: OidcError) -> Response:
    _log.warning("nobody was signed in by OpenID Connect", reason=str(error), source=address_of(request))
    wrong = f"That did not work: {error}. A token still works."
    return sign_in_page(request, parts, to, wrong=wrong, status=error.status)
