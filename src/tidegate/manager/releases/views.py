"""What is asked of releases: lists, and what changes between what runs and what is to run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.releases.changes import Change, all_changes
from tidegate.manager.store.schema import channels, quarantine, releases, rollout_targets, rollouts, targets

_OCI = "org.opencontainers.image."
_HEAVY = ("configs", "labels")


@dataclass(frozen=True, slots=True)
class Side:
    """One of two images. `release_id` None: it is no release of the channel."""

    digest: str
    release_id: int | None = None
    version: str = ""
    configs: Mapping[str, Any] | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changes from one image to another. `note` says why less is known than there could be; empty: all is.

    `before` None: nothing runs on the channel's targets.
    """

    before: Side | None
    after: Side
    changes: tuple[Change, ...] = ()
    note: str = ""


def listed(*, whole: bool = False) -> Select[Any]:
    """Releases with `channel_name`, `quarantined`, `newest` (the tag names it) and `running` (on how many targets)."""
    columns = [column for column in releases.c if whole or column.name not in _HEAVY]
    held = select(quarantine.c.id).where(quarantine.c.digest == releases.c.digest, quarantine.c.released_at.is_(None))
    other = releases.alias("other")
    later = select(other.c.id).where(
        other.c.channel_id == releases.c.channel_id, other.c.named_at > releases.c.named_at
    )
    here = (targets.c.channel_id == releases.c.channel_id) & (targets.c.digest == releases.c.digest)
    running = select(func.count()).select_from(targets).where(here, targets.c.gone_at.is_(None)).scalar_subquery()
    return select(
        *columns,
        channels.c.name.label("channel_name"),
        held.exists().label("quarantined"),
        (~later.exists()).label("newest"),
        running.label("running"),
    ).join(channels)


async def newest_of(conn: AsyncConnection, channel_ids: Collection[int]) -> dict[int, Row[Any]]:
    """By channels, what the tag names now: the same release of each as `domain.channel.newest` finds.

    Rows have `id`, `channel_id`, `digest`, `version`, `seen_at` and `named_at`; a channel without any is left out.
    """
    order = (releases.c.named_at.desc(), releases.c.seen_at.desc(), releases.c.digest.desc())
    place = func.row_number().over(partition_by=releases.c.channel_id, order_by=order).label("place")
    columns = [releases.c[name] for name in ("id", "channel_id", "digest", "version", "seen_at", "named_at")]
    ranked = select(*columns, place).where(releases.c.channel_id.in_(channel_ids)).subquery()
    rows = await conn.execute(select(ranked).where(ranked.c.place == 1))
    return {row.channel_id: row for row in rows}


async def one(conn: AsyncConnection, release_id: int) -> Any | None:
    """The row of a release with everything that is known of it."""
    return (await conn.execute(listed(whole=True).where(releases.c.id == release_id))).one_or_none()


async def compare(conn: AsyncConnection, channel_id: int, after: str, before: str | None = None) -> Comparison:
    """What changes from `before`, or what most targets of the channel run, to the digest `after`."""
    digest = before or await _mostly_runs(conn, channel_id)
    new = await _side(conn, channel_id, after)
    if digest is None:
        return Comparison(None, new, note="nothing runs on the channel's targets that this could be compared with")
    old = await _side(conn, channel_id, digest)
    notes = [_unknown(side) for side in (old, new) if not side.configs]
    if notes:
        return Comparison(old, new, note="; ".join(dict.fromkeys(notes)))
    found = all_changes(old.configs or {}, new.configs or {})
    shared = set(old.configs or ()) & set(new.configs or ())
    note = "" if shared else "the two are not known for the same platform"
    return Comparison(old, new, found, note)


async def compare_rollout(conn: AsyncConnection, rollout_id: int) -> Comparison | None:
    """What a rollout changes, by what most of its targets ran before it; None: there is no such rollout."""
    wanted = select(rollouts.c.channel_id, rollouts.c.digest).where(rollouts.c.id == rollout_id)
    row = (await conn.execute(wanted)).one_or_none()
    if row is None:
        return None
    ran = select(rollout_targets.c.before).where(rollout_targets.c.rollout_id == rollout_id)
    before = await _most(conn, ran.where(rollout_targets.c.before != ""), rollout_targets.c.before)
    return await compare(conn, row.channel_id, row.digest, before)


async def _mostly_runs(conn: AsyncConnection, channel_id: int) -> str | None:
    here = (targets.c.channel_id == channel_id) & targets.c.gone_at.is_(None) & (targets.c.digest != "")
    return await _most(conn, select(targets.c.digest).where(here), targets.c.digest)


async def _most(conn: AsyncConnection, digests: Select[str], column: Any) -> str | None:
    """The one that is there most often."""
    by_count = digests.group_by(column).order_by(func.count().desc(), column).limit(1)
    return (await conn.execute(by_count)).scalar_one_or_none()


async def _side(conn: AsyncConnection, channel_id: int, digest: str) -> Side:
    wanted = select(releases).where(releases.c.channel_id == channel_id, releases.c.digest == digest)
    row = (await conn.execute(wanted)).one_or_none()
    if row is None:
        return Side(digest)
    return Side(digest, row.id, row.version, _with_what_is_told(row), row.trouble)


def _with_what_is_told(row: Row[Any]) -> Mapping[str, Any]:
    """The configs; version, revision and source may stand in the manifest's annotations alone."""
    told = {"version": row.version, "revision": row.revision, "source": row.source}
    extra = {f"{_OCI}{name}": value for name, value in told.items() if value}
    return {
        platform: {**config, "Labels": {**(config.get("Labels") or {}), **extra}}
        for platform, config in row.configs.items()
    }


def _unknown(side: Side) -> str:
    name = side.version or side.digest[:19]
    if side.release_id is None:
        return f"{name} was not seen on this channel, so what it is like is not known"
    if side.trouble:
        return f"what {name} is like could not be read: {side.trouble}"
    return f"what {name} is like has not been read from its registry yet"
