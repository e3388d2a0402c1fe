"""Channels: repositories and tags that targets follow."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.domain.rollout_policy import Mode
from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.etag import EditionHere, set_etag
from tidegate.manager.api.models import Id
from tidegate.manager.api.paging import Page, PagingHere
from tidegate.manager.api.problems import conflict, not_found
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rows import held_row
from tidegate.manager.people.roles import Permission
from tidegate.manager.releases.channels import poll_soon
from tidegate.manager.releases.removal import ChannelInUseError, remove_channel
from tidegate.manager.releases.views import newest_of
from tidegate.manager.store.schema import channels, targets

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


ChannelName = Annotated[
    str | None, Query(max_length=500, description="Only this one; `nginx:1` is `docker.io/library/nginx:1`.")
]


@router.get("/channels", dependencies=_READ)
async def list_channels(
    parts: PartsHere,
    paging: PagingHere,
    name: ChannelName = None,
) -> Page[ChannelOut]:
    """List the channels."""
    statement = select(channels)
    if name is not None:
        statement = statement.where(channels.c.name == in_full(name))
    async with parts.db.read() as conn:
        rows, after = await paging.rows(conn, statement, channels.c.id)
        return Page(items=await shown(conn, rows), next=after)


@router.get("/channels/{id}", dependencies=_READ)
async def get_channel(id: Id, parts: PartsHere, response: Response) -> ChannelOut:  # noqa: A002 - it is what it is
    """Show one channel."""
    async with parts.db.read() as conn:
        return await _one(conn, id, response)


@router.post("/channels/{id}/poll", dependencies=[needs(Permission.OPERATE)])
async def poll_channel(id: Id, change: ChangeHere) -> ChannelOut:  # noqa: A002 - it is what it is
    """Have the channel's registry asked now, in place of when it would be."""
    await poll_now(change, id)
    return await _one(change.conn, id)


async def poll_now(change: Change, id_: int) -> None:
    """Have a registry asked, and write down who wanted that. Raises `Problem`."""
    was = await held_row(change.conn, channels, id_, "channel")
    await poll_soon(change.conn, [id_], change.now)
    before, after = ({"name": was.name, "poll_at": at and at.isoformat()} for at in (was.poll_at, change.now))
    await change.note("channel.poll", f"channel {id_}", before=before, after=after)


@router.delete("/channels/{id}", status_code=204, dependencies=[needs(Permission.POLICIES)])
async def delete_channel(id: Id, edition: EditionHere, change: ChangeHere) -> None:  # noqa: A002 - it is what it is
    """Take a channel away that no target follows and that has no rollout open, with its releases and rollouts."""
    was = await held_row(change.conn, channels, id, "channel", edition)
    try:
        went = await remove_channel(change.conn, id)
    except ChannelInUseError as error:
        raise conflict("in-use", f"Channel {was.name} stays: {error}.") from None
    before = {"name": was.name, "policy": was.policy, **went}
    await change.note("channel.delete", f"channel {id}", before=before)


async def _one(conn: AsyncConnection, id_: int, response: Response | None = None) -> ChannelOut:
    rows = (await conn.execute(select(channels).where(channels.c.id == id_))).all()
    if not rows:
        raise not_found(f"channel {id_}")
    if response is not None:
        set_etag(response, rows[0].edition)
    return (await shown(conn, rows))[0]


async def shown(conn: AsyncConnection, rows: Collection[Row[Any]]) -> list[ChannelOut]:
    """Rows of channels as they are sent."""
    ids = [row.id for row in rows]
    newest = {id_: _newest(row) for id_, row in (await newest_of(conn, ids)).items()}
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


def _newest(row: Row[Any]) -> Newest:
    return Newest(id=row.id, digest=row.digest, version=row.version, seen_at=row.seen_at)


def in_full(name: str) -> str:
    """A channel's name of what people write."""
    try:
        found = parse_reference(name)
    except InvalidReferenceError:
        return name
    return f"{found.name}:{found.tag or 'latest'}"
