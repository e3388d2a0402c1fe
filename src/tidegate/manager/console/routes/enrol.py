"""Letting an agent in: a token for one, shown once and with everything that is to be pasted."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import RedirectResponse, Response

from tidegate.manager.agents.enrolment import can_be_used
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.problems import Problem, invalid
from tidegate.manager.api.routes.agents import EnrolmentIn, NewEnrolment, enrol, take_back
from tidegate.manager.console.form import attempt, fields, filled_in, said
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.console.snippet import address_for_agents, compose_file, is_this_machine
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import agents, enrolments

router = console_router()
_AGENTS = [needs(Permission.AGENTS)]
_LASTS = {"3600": "1 hour", "86400": "1 day", "604800": "7 days"}
_MOST = 100


@router.get("/agents/enrol", dependencies=_AGENTS)
async def ask(request: Request, parts: PartsHere, name: Annotated[str, Query(max_length=63)] = "") -> Response:
    """The form, and the tokens that nobody has used yet."""
    async with reading(request) as conn:
        statement = select(enrolments).where(can_be_used(parts.clock())).order_by(enrolments.c.id.desc())
        waiting = (await conn.execute(statement.limit(_MOST))).all()
    return _form(request, {"name": name}, waiting=waiting)


@router.post("/agents/enrol", dependencies=_AGENTS)
async def do_enrol(request: Request, change: ChangeHere, parts: PartsHere) -> Response:
    """Make a token. It is in this answer and nowhere else: in no address, no log, and on no page that is kept."""
    given = await fields(request)
    name = given.get("name", "").strip()
    made = await attempt(change.conn, _enrol(change, name, given))
    if isinstance(made, Problem):
        return _form(request, given, wrong=said(made), status=made.status)
    taken = await _is_taken(change.conn, name)
    manager = address_for_agents(request, parts.settings)
    about: dict[str, Any] = {
        "agent": name,
        "manager": manager,
        "local": is_this_machine(manager),
        "expires_at": made.expires_at,
    }
    text = compose_file(manager, name, made.token or "")
    answer = page(request, "enrolled.html", snippet=text, taken=taken, id=made.id, **about)
    answer.headers["Cache-Control"] = "no-store"
    return answer


@router.post("/agents/enrolments/{id}/withdraw", dependencies=_AGENTS)
async def do_withdraw(id: Id, change: ChangeHere) -> Response:  # noqa: A002 - it is what it is
    """Have a token let nobody in any more."""
    await take_back(change, id)
    return RedirectResponse("/agents/enrol", HTTPStatus.SEE_OTHER)


async def _enrol(change: Change, name: str, given: Mapping[str, str]) -> NewEnrolment:
    if not name:
        raise invalid("body.name", "it is missing; the snippet names the agent, and the token is good for that name")
    lasts = given.get("expires_in", "3600")
    if lasts not in _LASTS:
        raise invalid("body.expires_in", f"it takes one of {', '.join(_LASTS)}")
    wanted = {"name": name, "labels": _labels(given.get("labels", "")), "expires_in": int(lasts)}
    return await enrol(change, filled_in(EnrolmentIn, wanted))


def _labels(text: str) -> dict[str, str]:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals:
            raise invalid("body.labels", f"{line!r} is no label; it takes one `name=value` a line")
        found[name.strip()] = value.strip()
    return found


async def _is_taken(conn: AsyncConnection, name: str) -> bool:
    there = select(agents.c.id).where(agents.c.name == name, agents.c.revoked_at.is_(None))
    return (await conn.execute(there)).first() is not None


def _form(
    request: Request,
    given: Mapping[str, str],
    *,
    waiting: Any = (),
    wrong: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    typed = {"name": "", "labels": "", "expires_in": "3600"} | dict(given)
    return page(request, "enrol.html", status, given=typed, lasts=_LASTS, waiting=waiting, wrong=wrong)
