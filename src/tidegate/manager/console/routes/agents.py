"""Agents: who is beside the clusters, and having one be so no more."""

from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Query, Request
from sqlalchemy import ColumnElement, case, func, select
from starlette.responses import RedirectResponse, Response

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.models import Why
from tidegate.manager.api.paging import PagingHere
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.problems import not_found
from tidegate.manager.api.routes.agents import AgentName, agent_rows, cut_off
from tidegate.manager.console.form import fields, filled_in
from tidegate.manager.console.links import address, here
from tidegate.manager.console.page import page, reading
from tidegate.manager.console.router import console_router
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import agents, assignments, clusters, targets

router = console_router()
_AGENTS = [needs(Permission.AGENTS)]
_MOST_TARGETS = 200


class Presence(StrEnum):
    """Whether an agent is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    REVOKED = "revoked"


@router.get("/agents", dependencies=[needs(Permission.READ)])
async def show_list(
    request: Request,
    parts: PartsHere,
    paging: PagingHere,
    q: Annotated[str, Query(max_length=200)] = "",
    state: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """By their names; `q` stands in a name, `state` is how an agent is there."""
    chosen = Presence(state) if state in set(Presence) else None
    presence, named = _presence(parts), agents.c.name.icontains(q.strip(), autoescape=True)
    statement = agent_rows(parts).add_columns(presence.label("presence")).where(named)
    if chosen is not None:
        statement = statement.where(presence == chosen)
    async with reading(request) as conn:
        rows, after = await paging.rows(conn, statement, agents.c.name)
        counting = select(presence, func.count()).where(named).group_by(presence)
        counted: dict[str, int] = dict((await conn.execute(counting)).all())
        total = (await conn.execute(select(func.count()).select_from(agents))).scalar_one()
    given = {"q": q, "state": chosen}
    more = address("/agents", given | {"after": after}) if after else ""
    counts = {one: counted.get(str(one), 0) for one in Presence}
    links = {one: address("/agents", {"q": q, "state": one}) for one in (None, *Presence)}
    about: dict[str, Any] = {"rows": rows, "counts": counts, "links": links, "chosen": chosen, "q": q, "total": total}
    return page(request, "agents.html", here=here(request), more=more, **about)


@router.get("/agents/{name}/revoke", dependencies=_AGENTS)
async def ask_revoke(request: Request, parts: PartsHere, name: AgentName) -> Response:
    """What it would mean."""
    async with reading(request) as conn:
        it = (await conn.execute(agent_rows(parts).where(agents.c.name == name))).one_or_none()
        if it is None:
            raise not_found(f"agent {name!r}")
        theirs = (
            select(targets.c.name, targets.c.digest)
            .join(clusters, clusters.c.id == targets.c.cluster_id)
            .where(clusters.c.agent_id == it.id, targets.c.gone_at.is_(None))
            .order_by(targets.c.name)
        )
        reached = (await conn.execute(theirs.limit(_MOST_TARGETS))).all()
        begun = select(func.count()).where(assignments.c.agent_id == it.id, assignments.c.open)
        under_way = (await conn.execute(begun)).scalar_one()
    return page(request, "agent_revoke.html", it=it, reached=reached, under_way=under_way)


@router.post("/agents/{name}/revoke", dependencies=_AGENTS)
async def do_revoke(request: Request, name: AgentName, change: ChangeHere) -> Response:
    """Cut it off."""
    why = filled_in(Why, {"reason": (await fields(request)).get("reason", "").strip()})
    await cut_off(change, name, why.reason)
    return RedirectResponse(address("/agents", {"q": name}), HTTPStatus.SEE_OTHER)


def _presence(parts: Parts) -> ColumnElement[Any]:
    there = is_online(heard_since(parts))
    return case(
        (agents.c.revoked_at.is_not(None), str(Presence.REVOKED)),
        (there, str(Presence.ONLINE)),
        else_=str(Presence.OFFLINE),
    )
