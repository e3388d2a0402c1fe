"""Targets: services of clusters, the smallest thing that a release goes to."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, and_, select

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.models import LARGEST_ID, Ref
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.problems import not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import agents, channels, clusters, releases, runs, targets
from tidegate.protocol.events import Running

router = make_router("targets")
_READ = [needs(Permission.READ)]
_RUNS_SHOWN = 50


class MemberOut(BaseModel):
    """One container of a target."""

    name: str = Field(description="Its name.")
    state: str = Field(description="The engine's word for its state, such as `running` or `exited`.")
    health: str = Field(description="`healthy`, `unhealthy`, `starting` or `none`.")
    digest: str | None = Field(description="What runs in it; null: that is not known.")


class TargetOut(BaseModel):
    """One service of one cluster, as its agent told of it last."""

    name: str = Field(description="Its name, `PROJECT@AGENT/SERVICE`.")
    cluster: str = Field(description="The cluster, `PROJECT@AGENT`.")
    service: str = Field(description="The service's own name.")
    agent: str = Field(description="The agent beside it.")
    online: bool = Field(description="Whether the agent was heard lately.")
    channel: Ref | None = Field(description="The channel that it follows; null: none, it is pinned to a digest.")
    image: str = Field(description="The image as its Compose file writes it.")
    digest: str = Field(description="What runs; empty: that is not known.")
    version: str = Field(description="The release's version, where its image tells one.")
    wanted: str = Field(description="What the manager last had put there; empty: nothing yet.")
    state: str = Field(description="`running`, `stopped` or `mixed`.")
    health: str = Field(description="`healthy`, `unhealthy`, `starting` or `none`.")
    containers: int = Field(description="How many containers it has.")
    members: list[MemberOut] = Field(
        description="Its containers by name; empty: they are many, or its agent is of an earlier version."
    )
    platform: str = Field(description="Such as `linux/amd64`.")
    strategy: str = Field(description="How new containers take over; empty: that is not known yet.")
    held: bool = Field(description="Whether its agent leaves it alone.")
    reason: str = Field(description="Why it is held, or what else there is to say.")
    seen_at: datetime = Field(description="When its agent told of it last.")
    digest_since: datetime | None = Field(description="Since when it runs what runs.")
    drift_since: datetime | None = Field(
        description="Since when it runs something else than wanted; null: it does not."
    )


class Run(BaseModel):
    """Something that ran on a target."""

    digest: str = Field(description="What ran.")
    since: datetime = Field(description="From when on.")
    rollout: int | None = Field(description="The rollout that brought it; null: another hand.")


class TargetDetail(TargetOut):
    """A target and what ran on it."""

    runs: list[Run] = Field(description=f"What ran on it, the newest first; at most {_RUNS_SHOWN}.")


def _targets(parts: Parts) -> Select[Any]:
    release = and_(releases.c.channel_id == targets.c.channel_id, releases.c.digest == targets.c.digest)
    columns = (
        clusters.c.name.label("cluster"),
        agents.c.name.label("agent"),
        is_online(heard_since(parts)).label("online"),
        channels.c.name.label("channel_name"),
        releases.c.version.label("version"),
    )
    return (
        select(targets, *columns)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
        .outerjoin(channels, channels.c.id == targets.c.channel_id)
        .outerjoin(releases, release)
        .where(targets.c.gone_at.is_(None))
    )


_OWN = frozenset({"channel", "online", "version", "runs"})
_SAME = tuple(name for name in TargetOut.model_fields if name not in _OWN)


def _values(row: Row[Any]) -> dict[str, Any]:
    channel = None if row.channel_name is None else Ref(id=row.channel_id, name=row.channel_name)
    known = {name: getattr(row, name) for name in _SAME}
    return known | {"channel": channel, "online": bool(row.online), "version": row.version or ""}


@router.get("/targets", dependencies=_READ)
async def list_targets(
    parts: PartsHere,
    paging: PagingHere,
    *,
    cluster: Annotated[str | None, Query(max_length=300, description="Only of this cluster.")] = None,
    channel: Annotated[
        int | None, Query(ge=1, le=LARGEST_ID, description="Only those that follow the channel with this number.")
    ] = None,
    digest: Annotated[str | None, Query(max_length=200, description="Only those that run this.")] = None,
    state: Annotated[Running | None, Query(description="Only those in this state.")] = None,
    agent: Annotated[str | None, Query(max_length=300, description="Only this agent's.")] = None,
    drift: Annotated[
        bool | None, Query(description="Only those that run something else than wanted, or only the others.")
    ] = None,
    held: Annotated[
        bool | None, Query(description="Only those that their agents leave alone, or only the others.")
    ] = None,
) -> Page[TargetOut]:
    """List the targets."""
    statement = _targets(parts)
    of = ((clusters.c.name, cluster), (targets.c.channel_id, channel), (agents.c.name, agent))
    are = ((targets.c.digest, digest), (targets.c.state, state), (targets.c.held, held))
    for column, wanted in (*of, *are, (targets.c.drift_since.is_not(None), drift)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, targets.c.name), lambda row: TargetOut(**_values(row)))


@router.get("/targets/{cluster}/{service}", dependencies=_READ)
async def get_target(
    cluster: Annotated[str, Path(max_length=300, description="The cluster's name, `PROJECT@AGENT`.")],
    service: Annotated[str, Path(max_length=300, description="The service's own name.")],
    parts: PartsHere,
) -> TargetDetail:
    """Show one target, and what ran on it."""
    name = f"{cluster}/{service}"
    async with parts.db.read() as conn:
        row = (await conn.execute(_targets(parts).where(targets.c.name == name))).one_or_none()
        if row is None:
            raise not_found(f"target {name!r}")
        ran = select(runs).where(runs.c.target_id == row.id).order_by(runs.c.id.desc()).limit(_RUNS_SHOWN)
        before = [Run(digest=one.digest, since=one.since, rollout=one.rollout_id) for one in await conn.execute(ran)]
    return TargetDetail(**_values(row), runs=before)
