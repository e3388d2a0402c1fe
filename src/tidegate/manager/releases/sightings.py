"""Taking in that a tag names a digest: one release for each digest of a channel, however often it is told."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Row, ScalarSelect, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.reference import is_digest
from tidegate.manager.releases.channels import follow
from tidegate.manager.store.bus import publish
from tidegate.manager.store.schema import channels, releases, targets
from tidegate.manager.store.topics import RELEASES
from tidegate.manager.telling.feed import tell

REGISTRY = "registry"
"""Who told it, where the registry itself was asked."""

RUNNING = "running"
"""The same, where it ran already."""

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE = timedelta(microseconds=1)
_ORDER = (releases.c.named_at.desc(), releases.c.seen_at.desc(), releases.c.digest.desc())
"""Of a channel's releases, as `tidegate.domain.channel.newest` has it: first what the tag names."""


async def seen(  # noqa: PLR0917 - what is told, in the order in which one says it
    conn: AsyncConnection, repository: str, tag: str, digest: str, at: datetime, told_by: str, now: datetime
) -> int:
    """Take in that the tag named the digest at `at`; the id of the release. The channel is made where it is new.

    A release moves to the front when the tag comes to name it, and not again while the tag goes on naming it. What is
    older than that, or than the registry's own last answer, is kept as an earlier release. An `at` still to come is
    taken as now: clocks differ.
    """
    channel_id = await follow(conn, repository, tag, now)
    newest = await _newest(conn, channel_id)
    if newest is not None and newest.digest == digest:
        return int(newest.id)  # what most tell, most of the time: nobody waits for anybody
    polled_at = await _hold(conn, channel_id)
    newest = await _newest(conn, channel_id)
    named_at, in_front = placed(min(at, now), newest and newest.named_at, polled_at, told_by)
    known = await find(conn, channel_id, digest)
    row = {"channel_id": channel_id, "digest": digest, "told_by": told_by}
    if known is None:
        return await _first(conn, row | {"seen_at": now, "named_at": named_at})
    if in_front and newest is not None and newest.digest != digest:
        await _again(conn, row | {"id": known}, named_at, now)
    return known


def placed(at: datetime, newest: datetime | None, polled_at: datetime | None, told_by: str) -> tuple[datetime, bool]:
    """When the tag counts as having come to name a release, and whether that puts it in front of the newest one."""
    if newest is None:
        return at, True
    overtaken = told_by != REGISTRY and polled_at is not None and at <= polled_at
    if overtaken or at <= newest:
        return min(at, newest - _BEFORE), False
    return at, True


async def also_running(conn: AsyncConnection, channel_id: int, now: datetime) -> None:
    """Make releases of what the targets of a channel run and nobody has told of, to be compared with and gone back to.

    None of them comes to the front: the channel has to have a release that was told of.
    """
    unknown = _unknown(channel_id)
    if not (await conn.execute(unknown)).first():
        return
    await _hold(conn, channel_id)
    always = {"channel_id": channel_id, "seen_at": now, "named_at": _LONG_AGO, "told_by": RUNNING, "read_again_at": now}
    digests = [digest for digest in (await conn.execute(unknown)).scalars() if is_digest(digest)]
    if digests:
        await conn.execute(insert(releases), [always | {"digest": digest} for digest in digests])


def _unknown(channel_id: int) -> Select[str]:
    """The digests that targets of the channel run, and that are none of its releases."""
    known = select(releases.c.id).where((releases.c.channel_id == channel_id) & (releases.c.digest == targets.c.digest))
    here = (targets.c.channel_id == channel_id) & targets.c.gone_at.is_(None) & (targets.c.digest != "")
    return select(targets.c.digest).where(here & ~known.exists()).distinct()


async def find(conn: AsyncConnection, channel_id: int, digest: str) -> int | None:
    """The id of the release of a channel with this digest."""
    wanted = (releases.c.channel_id == channel_id) & (releases.c.digest == digest)
    return (await conn.execute(select(releases.c.id).where(wanted))).scalar_one_or_none()


def newest_digest(channel_id: Column[int]) -> ScalarSelect[str]:
    """What the tag of a channel names, for a query of channels."""
    return (
        select(releases.c.digest)
        .where(releases.c.channel_id == channel_id)
        .order_by(*_ORDER)
        .limit(1)
        .scalar_subquery()
    )


async def _newest(conn: AsyncConnection, channel_id: int) -> Row[int, str, datetime] | None:
    """What the tag names."""
    columns = select(releases.c.id, releases.c.digest, releases.c.named_at)
    return (await conn.execute(columns.where(releases.c.channel_id == channel_id).order_by(*_ORDER).limit(1))).first()


async def _hold(conn: AsyncConnection, channel_id: int) -> datetime | None:
    """Nobody else takes in a release of this channel until the transaction ends; when its registry last answered."""
    row = select(channels.c.polled_at).where(channels.c.id == channel_id).with_for_update(key_share=True)
    held: datetime | None = (await conn.execute(row)).scalar_one()
    return held


async def _first(conn: AsyncConnection, row: Mapping[str, Any]) -> int:
    fresh = {**row, "read_again_at": row["seen_at"]}
    made = int((await conn.execute(insert(releases).values(fresh).returning(releases.c.id))).scalar_one())
    await _told(conn, "release.seen", {**row, "id": made}, row["seen_at"])
    return made


async def _again(conn: AsyncConnection, row: Mapping[str, Any], named_at: datetime, now: datetime) -> None:
    """The tag was moved back to an earlier release."""
    await conn.execute(update(releases).where(releases.c.id == row["id"]).values(named_at=named_at))
    await _told(conn, "release.named", row, now)


async def _told(conn: AsyncConnection, kind: str, row: Mapping[str, Any], now: datetime) -> None:
    """To whoever chooses releases, to whoever reads them, and to people."""
    chosen_anew = update(channels).where(channels.c.id == row["channel_id"]).values(plan_at=now)
    name = (await conn.execute(chosen_anew.returning(channels.c.name))).scalar_one()
    publish(conn, RELEASES, str(row["channel_id"]))
    data = {key: row[key] for key in ("channel_id", "digest", "told_by")}
    await tell(conn, kind, f"release {row['id']}", now, channel=name, **data)
