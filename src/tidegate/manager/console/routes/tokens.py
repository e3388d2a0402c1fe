"""Tokens of people and programs: who has one, making one that is shown once, and revoking one."""

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import func, select
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.problems import Problem, invalid
from tidegate.manager.api.routes.tokens import NewToken, TokenIn, is_valid, issue, revoke
from tidegate.manager.api.rows import read_row
from tidegate.manager.console.form import attempt, fields, filled_in, said
from tidegate.manager.console.links import address, here
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.people.roles import PERMISSIONS, Permission, Role
from tidegate.manager.people.tokens import Who
from tidegate.manager.store.schema import sessions, tokens

router = console_router()
_TOKENS = [needs(Permission.TOKENS)]
_DAY_S = 86_400
_LASTS = {
    f"{days * _DAY_S}": name
    for days, name in ((1, "1 day"), (7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year"))
} | {"": "until it is revoked"}
_USUAL = str(90 * _DAY_S)


class Shown(StrEnum):
    """Which are listed."""

    VALID = "valid"
    ENDED = "ended"
    ALL = "all"


@router.get("/tokens", dependencies=_TOKENS)
async def show_list(
    request: Request,
    parts: PartsHere,
    paging: PagingHere,
    q: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """The newest first; `q` stands in the name of a user or of a token."""
    chosen = Shown(state) if state in set(Shown) else Shown.VALID
    good = is_valid(parts.clock())
    named = tokens.c.user.icontains(q.strip(), autoescape=True) | tokens.c.name.icontains(q.strip(), autoescape=True)
    statement = select(tokens, good.label("good")).where(named)
    if chosen is not Shown.ALL:
        statement = statement.where(good if chosen is Shown.VALID else ~good)
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, statement, tokens.c.id, newest_first=True)
        counted = dict((await conn.execute(select(good, func.count()).where(named).group_by(good))).all())
    valid, ended = counted.get(True, 0), counted.get(False, 0)
    counts = {Shown.VALID: valid, Shown.ENDED: ended, Shown.ALL: valid + ended}
    given = {"q": q, "state": chosen}
    links = {one: address("/tokens", {"q": q, "state": one}) for one in Shown}
    more = address("/tokens", given | {"after": after}) if after else ""
    about: dict[str, Any] = {"rows": rows, "counts": counts, "links": links, "chosen": chosen, "q": q}
    return page(request, "tokens.html", here=here(request), more=more, **about)


@router.get("/tokens/new", dependencies=_TOKENS)
async def ask_new(request: Request) -> Response:
    """The form."""
    async with reading(request):
        return _form(request, {})


@router.post("/tokens/new", dependencies=_TOKENS)
async def do_new(request: Request, change: ChangeHere) -> Response:
    """Make a token. It is in this answer and nowhere else."""
    given = await fields(request)
    made = await attempt(change.conn, _issue(change, given))
    if isinstance(made, Problem):
        return _form(request, given, wrong=said(made), status=made.status)
    answer = page(request, "token_made.html", it=made)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.get("/tokens/{id}/revoke", dependencies=_TOKENS)
async def ask_revoke(request: Request, id: Id, parts: PartsHere) -> Response:  # noqa: A002 - it is what it is
    """What it would mean."""
    now, who = parts.clock(), _who(request)
    async with reading(request) as conn:
        it = await read_row(conn, tokens, id, "token")
        signed_in = select(func.count()).where(sessions.c.token_id == id, sessions.c.expires_at > now)
        browsers = (await conn.execute(signed_in)).scalar_one()
        may = [str(role) for role in Role if Permission.TOKENS in PERMISSIONS[role]]
        others = select(func.count()).where(is_valid(now), tokens.c.role.in_(may), tokens.c.id != id)
        last = it.role in may and not (await conn.execute(others)).scalar_one()
    return page(request, "token_revoke.html", it=it, browsers=browsers, last=last, own=who.token_id == id)


@router.post("/tokens/{id}/revoke", dependencies=_TOKENS)
async def do_revoke(id: Id, change: ChangeHere) -> Response:  # noqa: A002 - it is what it is
    """Have it be good for nothing."""
    await revoke(change, id)
    return RedirectResponse("/tokens", HTTPStatus.SEE_OTHER)


async def _issue(change: Change, given: Mapping[str, str]) -> NewToken:
    lasts = given.get("expires_in", _USUAL)
    if lasts not in _LASTS:
        raise invalid("body.expires_in", f"it takes one of {', '.join(filter(None, _LASTS))}, or nothing")
    wanted = {name: given.get(name, "").strip() for name in ("user", "role", "name")}
    return await issue(change, filled_in(TokenIn, wanted | {"expires_in": int(lasts) if lasts else None}))


def _who(request: Request) -> Who:
    who: Who = request.state.who
    return who


def _form(
    request: Request, given: Mapping[str, str], *, wrong: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    typed = {"user": "", "role": str(Role.VIEWER), "name": "", "expires_in": _USUAL} | dict(given)
    return page(request, "token_new.html", status, given=typed, roles=list(Role), lasts=_LASTS, wrong=wrong)
