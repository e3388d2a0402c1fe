"""The fleet at a glance, as the console's first page and `tidegate top` show it."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field

from tidegate.domain.standing import Standing
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.paging import MOST, USUAL
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.router import router as make_router
from tidegate.manager.console import attention, fleet
from tidegate.manager.people.roles import Permission

router = make_router("status")
_MOST_SKIPPED = 1_000_000


class Waiting(BaseModel):
    """One thing that waits for somebody."""

    text: str = Field(description="What it is, in a sentence.")
    link: str = Field(description="The page of the console where it is seen to.")
    since: datetime | None = Field(description="Since when it is so; null: that is not known.")


class WaitingKind(BaseModel):
    """Things of one kind that wait for somebody."""

    kind: str = Field(description="`awaiting_approval`, `paused`, `offline`, `quarantined` or `alert`.")
    count: int = Field(description="How many there are.")
    items: list[Waiting] = Field(description="The first of them.")


class StandingCluster(BaseModel):
    """A cluster, and how it stands."""

    name: str = Field(description="Its name, `PROJECT@AGENT`.")
    project: str = Field(description="The project's own name.")
    agent: str = Field(description="The agent beside it.")
    standing: Standing = Field(description="That of the service that stands worst; `offline`: its agent is not heard.")
    why: str = Field(description="Why it stands so; empty where nothing is to be said.")
    services: int = Field(description="How many services it has.")
    versions: list[str] = Field(description="What they run, each once: versions, or beginnings of digests.")
    last_seen_at: datetime | None = Field(description="When its agent was heard last.")


class Overview(BaseModel):
    """The fleet at a glance."""

    total: int = Field(description="How many clusters there are.")
    matching: int = Field(description="How many of them are asked for.")
    counts: dict[Standing, int] = Field(description="How many clusters that match `q` stand how.")
    clusters: list[StandingCluster] = Field(description="Those that are asked for, the worst first.")
    attention: list[WaitingKind] = Field(description="What waits for somebody, by kinds.")


@router.get("/overview", dependencies=[needs(Permission.READ)])
async def show_overview(
    parts: PartsHere,
    *,
    q: Annotated[
        str,
        Query(max_length=200, description="Only clusters with each of these words in a name, a version or a label."),
    ] = "",
    standing: Annotated[Standing | None, Query(description="Only those that stand so.")] = None,
    skip: Annotated[int, Query(ge=0, le=_MOST_SKIPPED, description="Leave out so many of the worst.")] = 0,
    limit: Annotated[int, Query(ge=0, le=MOST, description="How many clusters at most.")] = USUAL,
) -> Overview:
    """Show how every cluster stands, the worst first, and what waits for somebody.

    The order changes with the fleet, so this is no list that is read to its end: it is what fits on a screen.
    """
    since = heard_since(parts)
    async with parts.db.read() as conn:
        found = await fleet.look(conn, is_online(since))
        waits = await attention.look(conn, since)
    matching = found.matching(q)
    shown = matching.worst_first(standing)
    return Overview(
        total=len(found.clusters),
        matching=len(shown),
        counts=dict(matching.counts),
        clusters=[_cluster(one) for one in shown[skip : skip + limit]],
        attention=[_kind(one) for one in waits],
    )


def _cluster(one: fleet.Cluster) -> StandingCluster:
    return StandingCluster(
        name=one.name,
        project=one.project,
        agent=one.agent,
        standing=one.standing,
        why=one.why,
        services=len(one.services),
        versions=one.versions,
        last_seen_at=one.last_seen_at,
    )


def _kind(one: attention.Kind) -> WaitingKind:
    items = [Waiting(text=item.text, link=item.link, since=item.since) for item in one.items]
    return WaitingKind(kind=one.name, count=one.count, items=items)
