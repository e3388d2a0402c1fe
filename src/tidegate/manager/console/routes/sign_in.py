"""Signing in with a token, and out."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.access import anybody, needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.door import Door, address_of
from tidegate.manager.console.cookie import drop_cookie, set_cookie
from tidegate.manager.console.form import fields
from tidegate.manager.console.links import address
from tidegate.manager.console.page import page
from tidegate.manager.console.router import SIGN_IN, console_router
from tidegate.manager.console.words import span
from tidegate.manager.parts import Parts
from tidegate.manager.people import sessions
from tidegate.manager.people.audit import record
from tidegate.manager.people.known_tokens import KnownTokens
from tidegate.manager.people.roles import Permission
from tidegate.manager.people.tokens import TokenRefusedError, Who

router = console_router()
_ANYBODY = [anybody("who signs in shows a token here")]


@router.get(SIGN_IN, dependencies=_ANYBODY)
async def ask(request: Request, parts: PartsHere, next: Annotated[str, Query(max_length=2000)] = "/") -> Response:  # noqa: A002
    """The form."""
    parts.one(Door).forgive(request)
    return sign_in_page(request, parts, next)


@router.post(SIGN_IN, dependencies=_ANYBODY)
async def sign_in(request: Request, parts: PartsHere) -> Response:
    """Begin a session, if the token is one."""
    given = await fields(request)
    to = local(given.get("next", "/"))
    try:
        who = await parts.one(KnownTokens).who(given.get("token", "").strip(), address_of(request))
    except TokenRefusedError as error:
        return sign_in_page(request, parts, to, wrong=f"That did not work: {error}.", status=HTTPStatus.UNAUTHORIZED)
    async with parts.db.write() as conn:
        text = await begin_session(conn, parts, who)
    return let_in(request, parts, text, to)


@router.post("/sign-out", dependencies=[needs(Permission.READ)])
async def sign_out(request: Request, change: ChangeHere) -> Response:
    """End the session."""
    session: sessions.Session = request.state.session
    await sessions.end(change.conn, session.id)
    await record(change.conn, change.actor, "session.end", f"token {session.who.token_id}", change.now)
    answer = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
    drop_cookie(request, answer)
    return answer


def local(path: str) -> str:
    """A page of this console to go on to; whatever else it says, the first one."""
    good = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if good else "/"


async def begin_session(conn: AsyncConnection, parts: Parts, who: Who, about: Mapping[str, Any] | None = None) -> str:
    """A session of who may come in, as the audit log has it, with more `about` it; its text."""
    now = parts.clock()
    await record(conn, who.actor, "session.begin", f"token {who.token_id}", now, after=about)
    return await sessions.begin(conn, who, now, timedelta(seconds=parts.settings.session_s))


def let_in(request: Request, parts: Parts, text: str, to: str) -> Response:
    """Have the browser keep a session that has begun, and go on."""
    parts.one(Door).forgive(request)
    answer = RedirectResponse(to, HTTPStatus.SEE_OTHER)
    set_cookie(request, answer, text, timedelta(seconds=parts.settings.session_s))
    return answer


def sign_in_page(
    request: Request, parts: Parts, to: str, *, wrong: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    """The form, and above it the way to the provider, where there is one."""
    it, to = parts.settings, local(to)
    by_oidc = address(f"{it.public_url}{SIGN_IN}/oidc", {"next": to}) if it.oidc_issuer else ""
    lasts = span(it.session_s)
    return page(request, "sign_in.html", status, next=to, wrong=wrong, lasts=lasts, by_oidc=by_oidc, name=it.oidc_name)
