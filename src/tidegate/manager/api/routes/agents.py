"""Agents, and the one-time tokens that they come with."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, func, select

from tidegate.manager.agents.enrolment import LASTS, can_be_used, make_enrolment, withdraw_enrolment
from tidegate.manager.agents.revocation import revoke
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import Body, Id, Labels, UpdaterOut, Why
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.problems import conflict, invalid, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rows import held_row
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import agents, clusters, enrolments, targets
from tidegate.protocol.messages import is_agent_name

router = make_router("agents")
_READ = [needs(Permission.READ)]
_AGENTS = [needs(Permission.AGENTS)]
_MONTH_S = 31 * 86400
_NAME_TAKES = "1 to 63 letters, digits, and . _ -, beginning with a letter or digit"
AgentName = Annotated[str, Path(max_length=300, description="Its name.")]


class AgentOut(BaseModel):
    """Who looks after the clusters of one engine."""

    id: str = Field(description="Its id, which it was given as it enrolled.")
    name: str = Field(description="Its name.")
    online: bool = Field(description="Whether it was heard lately.")
    last_seen_at: datetime | None = Field(description="When it was heard last.")
    address: str = Field(description="The address that it came from then.")
    version: str = Field(description="The version of Tidegate that it runs.")
    protocol: int = Field(description="The version of what it says to the manager.")
    labels: dict[str, str] = Field(description="The labels that its enrolment gave it.")
    clusters: int = Field(description="How many clusters it looks after.")
    targets: int = Field(description="How many targets those have.")
    updater: UpdaterOut | None = Field(
        description="What the Watchtower that updates there counts, as the agent told last; null: the agent updates by "
        "itself, or Watchtower does not answer."
    )
    enrolled_at: datetime = Field(description="When it enrolled.")
    revoked_at: datetime | None = Field(description="When it was cut off; null: it was not.")


class EnrolmentIn(Body):
    """A one-time token as it is wanted."""

    name: str = Field(default="", max_length=63, description=f"The only name that it is good for: {_NAME_TAKES}.")
    labels: Labels = Field(
        default={},
        description="Labels that the agent gets. In the place of a revoked one it keeps that one's others, and so do "
        "its clusters.",
    )
    expires_in: Annotated[int, Field(strict=True, ge=1, le=_MONTH_S)] = Field(
        default=int(LASTS.total_seconds()), description="How many seconds it may be used."
    )


class NewEnrolment(BaseModel):
    """A one-time token that was just made."""

    id: int = Field(description="Its number.")
    token: str | None = Field(
        description="The token, which nobody can read again; null in the answer to a request that is repeated."
    )
    expires_at: datetime = Field(description="Until when it may be used.")


class EnrolmentOut(BaseModel):
    """A one-time token, without what it is made of."""

    id: int = Field(description="Its number.")
    name: str = Field(description="The only name that it is good for; empty: any.")
    labels: dict[str, str] = Field(description="Labels that the agent gets.")
    created_by: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime = Field(description="Until when it may be used.")
    used_at: datetime | None = Field(description="When an agent came with it; null: none did.")
    revoked_at: datetime | None = Field(description="When it was withdrawn; null: it was not.")
    agent: str | None = Field(description="The id of the agent that came with it.")


def agent_rows(parts: Parts) -> Select[Any]:
    """Rows of agents, with whether each is `there`, and how many clusters and targets it has."""
    ours = select(func.count()).where(clusters.c.agent_id == agents.c.id)
    theirs = select(func.count()).select_from(
        targets.join(clusters, clusters.c.id == targets.c.cluster_id),
    )
    there = theirs.where(clusters.c.agent_id == agents.c.id, targets.c.gone_at.is_(None))
    return select(
        agents,
        is_online(heard_since(parts)).label("there"),
        ours.scalar_subquery().label("clusters"),
        there.scalar_subquery().label("targets"),
    )


def _out(row: Row[Any]) -> AgentOut:
    known = {name: getattr(row, name) for name in AgentOut.model_fields if name != "online"}
    return AgentOut(**known, online=bool(row.there))


def _enrolment(row: Row[Any]) -> EnrolmentOut:
    known = {name: getattr(row, name) for name in EnrolmentOut.model_fields if name != "agent"}
    return EnrolmentOut(**known, agent=row.agent_id)


@router.get("/agents", dependencies=_READ)
async def list_agents(
    parts: PartsHere,
    paging: PagingHere,
    *,
    revoked: Annotated[bool | None, Query(description="Only those that were cut off, or only the others.")] = None,
) -> Page[AgentOut]:
    """List the agents."""
    statement = agent_rows(parts)
    if revoked is not None:
        statement = statement.where(agents.c.revoked_at.is_not(None) if revoked else agents.c.revoked_at.is_(None))
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, agents.c.name), _out)


@router.get("/agents/enrolments", dependencies=_AGENTS)
async def list_enrolments(
    parts: PartsHere,
    paging: PagingHere,
    *,
    usable: Annotated[bool | None, Query(description="Only those that still let an agent in, or the others.")] = None,
) -> Page[EnrolmentOut]:
    """List the one-time tokens, the newest first."""
    statement = select(enrolments)
    if usable is not None:
        good = can_be_used(parts.clock())
        statement = statement.where(good if usable else ~good)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, enrolments.c.id, newest_first=True), _enrolment)


@router.post("/agents/enrolments", status_code=201, dependencies=_AGENTS)
async def create_enrolment(change: ChangeHere, given: EnrolmentIn | None = None) -> NewEnrolment:
    """Make a token with which one agent can join, once."""
    return await enrol(change, given or EnrolmentIn())


async def enrol(change: Change, given: EnrolmentIn) -> NewEnrolment:
    """A token as it is wanted; of a request that is repeated the answer has none. Raises `Problem`."""
    if given.name and not is_agent_name(given.name):
        raise invalid("body.name", f"no agent can be called that; it takes {_NAME_TAKES}")
    lasts = timedelta(seconds=given.expires_in)
    made = await make_enrolment(
        change.conn, change.actor, change.now, name=given.name, labels=given.labels, lasts=lasts
    )
    answer = NewEnrolment(id=made.id, token=made.token, expires_at=made.expires_at)
    change.keep_instead(answer.model_copy(update={"token": None}).model_dump(mode="json"))
    return answer


@router.delete("/agents/enrolments/{id}", status_code=204, dependencies=_AGENTS)
async def withdraw(id: Id, change: ChangeHere) -> None:  # noqa: A002 - it is what it is
    """Withdraw a one-time token: it lets nobody in any more."""
    await take_back(change, id)


async def take_back(change: Change, id_: int) -> None:
    """Have a one-time token let nobody in any more. Raises `Problem`."""
    if await withdraw_enrolment(change.conn, id_, change.actor, change.now):
        return
    row = await held_row(change.conn, enrolments, id_, "enrolment")
    if row.used_at is not None:
        raise conflict("used", f"Enrolment {id_} was used already; revoke the agent that came with it.")


@router.get("/agents/{name}", dependencies=_READ)
async def get_agent(name: AgentName, parts: PartsHere) -> AgentOut:
    """Show one agent."""
    async with parts.db.read() as conn:
        row = (await conn.execute(agent_rows(parts).where(agents.c.name == name))).one_or_none()
    if row is None:
        raise not_found(f"agent {name!r}")
    return _out(row)


@router.post("/agents/{name}/revoke", dependencies=_AGENTS)
async def revoke_agent(name: AgentName, parts: PartsHere, change: ChangeHere, given: Why | None = None) -> AgentOut:
    """Cut an agent off, at once and for good; it can join again only with a new token and a new key."""
    await cut_off(change, name, given.reason if given is not None else "")
    return _out((await change.conn.execute(agent_rows(parts).where(agents.c.name == name))).one())


async def cut_off(change: Change, name: str, reason: str) -> None:
    """Cut off the agent of this name; one that is cut off already stays so. Raises `Problem`."""
    id_ = (await change.conn.execute(select(agents.c.id).where(agents.c.name == name))).scalar_one_or_none()
    if id_ is None:
        raise not_found(f"agent {name!r}")
    await revoke(change.conn, id_, change.actor, change.now, reason=reason)
