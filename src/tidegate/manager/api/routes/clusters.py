"""Clusters: Compose projects, each on the engine of one agent."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row, Select, func, select, update

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import Edition, EditionHere, set_etag
from tidegate.manager.api.label_filter import has_labels
from tidegate.manager.api.models import Body, Labels, UpdaterOut
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.presence import heard_since, is_online
from tidegate.manager.api.problems import not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.parts import Parts
from tidegate.manager.people.roles import Permission
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.store.schema import agents, clusters, targets

router = make_router("clusters")
_READ = [needs(Permission.READ)]
ClusterName = Annotated[str, Path(max_length=300, description="Its name, `PROJECT@AGENT`.")]


class ClusterOut(BaseModel):
    """One Compose project on the engine of one agent."""

    name: str = Field(description="Its name, `PROJECT@AGENT`.")
    project: str = Field(description="The project's own name.")
    agent: str = Field(description="The agent beside it.")
    online: bool = Field(description="Whether the agent was heard lately.")
    labels: dict[str, str] = Field(description="Its labels, by which windows, freezes and waves name it.")
    targets: int = Field(description="How many targets it has.")
    updater: UpdaterOut | None = Field(
        description="What the Watchtower that updates there counts, as the agent told last; null: the agent updates by "
        "itself, or Watchtower does not answer."
    )
    created_at: datetime = Field(description="When it was first heard of.")
    version: int = Field(description="Counts its changes; the number in its ETag.")


class LabelsIn(Body):
    """A cluster's labels as they are wanted."""

    labels: Labels = Field(description="All of them; what is not here is taken away.")


def _clusters(parts: Parts) -> Select[Any]:
    count = select(func.count()).where(targets.c.cluster_id == clusters.c.id, targets.c.gone_at.is_(None))
    online = is_online(heard_since(parts)).label("online")
    columns = (agents.c.name.label("agent"), agents.c.updater, online, count.scalar_subquery().label("targets"))
    return select(clusters, *columns).join(agents, agents.c.id == clusters.c.agent_id)


def _out(row: Row[Any]) -> ClusterOut:
    same = ("name", "project", "agent", "labels", "targets", "updater", "created_at")
    known = {name: getattr(row, name) for name in same}
    return ClusterOut(**known, online=bool(row.online), version=row.edition)


@router.get("/clusters", dependencies=_READ)
async def list_clusters(
    parts: PartsHere,
    paging: PagingHere,
    agent: Annotated[str | None, Query(max_length=300, description="Only this agent's.")] = None,
    label: Annotated[
        list[str] | None, Query(max_length=16, description="`NAME=VALUE`: only with this label; all, if several.")
    ] = None,
) -> Page[ClusterOut]:
    """List the clusters."""
    statement = _clusters(parts)
    if agent is not None:
        statement = statement.where(agents.c.name == agent)
    for one in has_labels(clusters.c.labels, label or []):
        statement = statement.where(one)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, clusters.c.name), _out)


@router.get("/clusters/{name}", dependencies=_READ)
async def get_cluster(name: ClusterName, parts: PartsHere, response: Response) -> ClusterOut:
    """Show one cluster."""
    async with parts.db.read() as conn:
        row = (await conn.execute(_clusters(parts).where(clusters.c.name == name))).one_or_none()
    if row is None:
        raise not_found(f"cluster {name!r}")
    set_etag(response, row.edition)
    return _out(row)


@router.patch("/clusters/{name}", dependencies=[needs(Permission.OPERATE)])
async def label_cluster(
    name: ClusterName,
    given: LabelsIn,
    *,
    edition: EditionHere,
    parts: PartsHere,
    change: ChangeHere,
    response: Response,
) -> ClusterOut:
    """Change a cluster's labels, and with them which windows, freezes and waves it is in."""
    id_ = await set_labels(change, name, given, edition)
    row = (await change.conn.execute(_clusters(parts).where(clusters.c.id == id_))).one()
    set_etag(response, row.edition)
    return _out(row)


async def set_labels(change: Change, name: str, given: LabelsIn, edition: Edition) -> int:
    """Give a cluster these labels, whose id is returned, and have what goes by them decided anew. Raises `Problem`."""
    await rules_changed(change.conn, change.now)
    wanted = select(clusters).where(clusters.c.name == name).with_for_update()
    before = (await change.conn.execute(wanted)).one_or_none()
    if before is None:
        raise not_found(f"cluster {name!r}")
    edition.check(before.edition, f"Cluster {name!r}")
    values = {"labels": given.labels, "edition": before.edition + 1}
    await change.conn.execute(update(clusters).where(clusters.c.id == before.id).values(values))
    about = {"before": {"labels": before.labels}, "after": {"labels": given.labels}}
    await change.note("cluster.update", f"cluster {name}", **about)
    return int(before.id)
