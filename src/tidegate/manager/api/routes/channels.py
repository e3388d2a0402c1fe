"""Channels: repositories and tags that targets follow."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.domain.rollout_policy import Mode
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import ChangeHere, PartsHere
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import Page, PagingHere
from tidegate.manager.api.problems import not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.roles import Permission
from tidegate.manager.releases.channels import poll_soon
from tidegate.manager.store.schema import channels, releases, targets

router = make_router("channels")
_READ = [needs(Permission.READ)]


class Newest(BaseModel):
    """What a channel's tag names now."""

    id: int = Field(description="The number of the release.")
    digest: str = Field(description="Its digest.")
    version: str = Field(description="Its version, where its image tells one.")
    seen_at: datetime = Field(description="When it was first seen.")


class ChannelOut(BaseModel):
    """A repository and a tag."""

    id: int = Field(description="Its number.")
    name: str = Field(description="`REPOSITORY:TAG`, the repository in full.")
    repository: str = Field(description="The repository, in full.")
    tag: str = Field(description="The tag.")
    mode: Mode = Field(description="What its policy does with new releases.")
    newest: Newest | None = Field(description="What the tag names now; null: nothing was seen yet.")
    targets: int = Field(description="How many targets follow it.")
    choice: str = Field(description="Which release is to go out next, or why none is.")
    polled_at: datetime | None = Field(description="When its registry was asked last.")
    poll_at: datetime | None = Field(description="When its registry is asked next.")
    failures: int = Field(description="How many times in a row its registry could not be asked.")
    trouble: str = Field(description="What its registry said when it was asked last; empty: all was well.")


@router.get("/channels", dependencies=_READ)
async def list_channels(
    parts: PartsHere,
    paging: PagingHere,
    name: Annotated[
        str | None, Query(max_length=500, description="Only this one; `nginx:1` is `docker.io/library/nginx:1`.")
    ] = None,
) -> Page[ChannelOut]:
    """List the channels."""
    statement = select(channels)
    if name is not None:
        statement = statement.where(channels.c.name == _in_full(name))
    async with parts.db.read() as conn:
        rows, after = await paging.rows(conn, statement, channels.c.id)
        return Page(items=await _out(conn, rows), next=after)


@router.get("/channels/{id}", dependencies=_READ)
async def get_channel(id: Id, parts: PartsHere) -> ChannelOut:  # noqa: A002 - it is what it is
    """Show one channel."""
    async with parts.db.read() as conn:
        return await _one(conn, id)


@router.post("/channels/{id}/poll", dependencies=[needs(Permission.OPERATE)])
async def poll_channel(id: Id, change: ChangeHere) -> ChannelOut:  # noqa: A002 - it is what it is
    """Have the channel's registry asked now, in place of when it would be."""
    asked = await poll_soon(change.conn, [id], change.now)
    if not asked:
        raise not_found(f"channel {id}")
    await change.note("channel.poll", f"channel {id}", after={"name": asked[0]})
    return await _one(change.conn, id)


async def _one(conn: AsyncConnection, id_: int) -> ChannelOut:
    rows = (await conn.execute(select(channels).where(channels.c.id == id_))).all()
    if not rows:
        raise not_found(f"channel {id_}")
    return (await _out(conn, rows))[0]


async def _out(conn: AsyncConnection, rows: Collection[Row[Any]]) -> list[ChannelOut]:
    ids = [row.id for row in rows]
    newest = await _newest(conn, ids)
    following = (
        select(targets.c.channel_id, func.count())
        .where(targets.c.channel_id.in_(ids), targets.c.gone_at.is_(None))
        .group_by(targets.c.channel_id)
    )
    counts: dict[int, int] = {id_: count for id_, count in (await conn.execute(following)).all()}  # noqa: C416 - typed
    return [_channel(row, newest.get(row.id), counts.get(row.id, 0)) for row in rows]


def _channel(row: Row[Any], newest: Newest | None, following: int) -> ChannelOut:
    same = ("id", "name", "repository", "tag", "choice", "polled_at", "poll_at", "failures", "trouble")
    known = {name: getattr(row, name) for name in same}
    return ChannelOut(**known, mode=read_channel_policy(row.policy).mode, newest=newest, targets=following)


async def _newest(conn: AsyncConnection, ids: Collection[int]) -> dict[int, Newest]:
    """The same release of each channel as `domain.channel.newest` finds."""
    order = (releases.c.named_at.desc(), releases.c.seen_at.desc(), releases.c.digest.desc())
    place = func.row_number().over(partition_by=releases.c.channel_id, order_by=order).label("place")
    columns = (releases.c.id, releases.c.channel_id, releases.c.digest, releases.c.version, releases.c.seen_at)
    ranked = select(*columns, place).where(releases.c.channel_id.in_(ids)).subquery()
    rows = await conn.execute(select(ranked).where(ranked.c.place == 1))
    return {
        row.channel_id: Newest(id=row.id, digest=row.digest, version=row.version, seen_at=row.seen_at) for row in rows
    }


def _in_full(name: str) -> str:
    try:
        found = parse_reference(name)
    except InvalidReferenceError:
        return name
    return f"{found.name}:{found.tag or 'latest'}"
