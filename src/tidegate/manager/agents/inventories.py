"""What agents have beside them: clusters, targets, the channels that these follow, and what ran when."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.drift import note_drift
from tidegate.manager.agents.followed import channel_ids, channel_name, look_again
from tidegate.manager.agents.wakes import rollouts_at
from tidegate.manager.releases.channels import followed_again
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import agents, assignments, clusters, runs, targets
from tidegate.manager.telling.feed import Said
from tidegate.protocol.events import InventoryTarget

_SAID = ("image", "repository", "tag", "digest", "state", "health", "containers", "platform", "strategy")
_MORE = ("held", "reason", "channel_id", "members")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All targets of an agent, as it tells them."""

    agent: str
    name: str
    targets: tuple[InventoryTarget, ...]


@dataclass(frozen=True, slots=True)
class _Target:
    """One target as it is to be, by its name; `id` None: it is new. `before` is the digest that was known.

    `anew`: it was known, but for gone, or from an agent that this one has taken the place of. `held_now`: its host has
    come to let nobody update it; `free_now`: it lets the manager again.
    """

    name: str
    values: Mapping[str, Any]
    cluster_id: int
    id: int | None = None
    before: str = ""
    changed: bool = True
    moved: bool = True
    before_channel: int | None = None
    anew: bool = False
    was_gone: bool = False
    held_now: bool = False
    free_now: bool = False

    @property
    def rechanneled(self) -> bool:
        """Whether it was known, and follows something else by now."""
        return self.id is not None and self.values["channel_id"] != self.before_channel

    @property
    def is_news(self) -> bool:
        """Whether rollouts that it takes part in have to be decided anew."""
        return self.rechanneled or self.anew or self.held_now

    @property
    def joined(self) -> bool:
        """Whether it did not follow its channel a moment ago."""
        return self.was_gone or self.before_channel != self.values["channel_id"]


async def take_in_inventories(
    conn: AsyncConnection, snapshots: Sequence[Snapshot], now: datetime
) -> tuple[list[Said], set[int]]:
    """Take in what these agents have now, each named once; what the feed has to tell, and rollouts with news."""
    cluster_ids = await _clusters(conn, snapshots, now)
    followed = (channel_name(one) for snapshot in snapshots for one in snapshot.targets)
    channels = await channel_ids(conn, {name for name in followed if name is not None}, now)
    known = await _known(conn, [one.agent for one in snapshots])
    here = [_target(snapshot, one, cluster_ids, channels, known) for snapshot in snapshots for one in snapshot.targets]
    names = {one.name for one in here}
    gone = [row for name, row in known.items() if row.gone_at is None and name not in names]
    await _leave(conn, gone, now)
    here = await _put(conn, here, now)
    await _note_runs(conn, [one for one in here if one.moved and one.values["digest"]], now)
    await look_again(conn, _touched(here, gone), now)
    joined = {one.values["channel_id"] for one in here if one.joined and one.values["channel_id"] is not None}
    if joined:
        await followed_again(conn, joined, now)
    news = [one.id for one in here if one.id is not None and one.is_news]
    feed = await note_drift(conn, now, [one.id for one in here if one.id is not None and one.changed])
    return feed, await rollouts_at(conn, news)


async def _clusters(conn: AsyncConnection, snapshots: Sequence[Snapshot], now: datetime) -> dict[str, int]:
    wanted = {
        f"{one.target.partition('/')[0]}@{snapshot.name}": (snapshot.agent, one.target.partition("/")[0])
        for snapshot in snapshots
        for one in snapshot.targets
    }
    ids = [snapshot.agent for snapshot in snapshots]
    statement = select(clusters.c.name, clusters.c.id).where(clusters.c.agent_id.in_(ids))
    there: dict[str, int] = {row.name: row.id for row in await conn.execute(statement)}
    new = sorted(set(wanted) - set(there))
    if new:
        found = await conn.execute(select(agents.c.id, agents.c.labels).where(agents.c.id.in_(ids)))
        labels: dict[str, Any] = {row.id: row.labels for row in found}
        rows = [
            {
                "name": name,
                "project": wanted[name][1],
                "agent_id": wanted[name][0],
                "labels": labels[wanted[name][0]],
                "created_at": now,
            }
            for name in new
        ]
        await conn.execute(insert(clusters), rows)
        there = {row.name: row.id for row in await conn.execute(statement)}
    return there


async def _known(conn: AsyncConnection, agent_ids: Sequence[str]) -> dict[str, Row[Any]]:
    whole = (
        select(targets, agents.c.enrolled_at)
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .join(agents, agents.c.id == clusters.c.agent_id)
    )
    rows = await conn.execute(whole.where(clusters.c.agent_id.in_(agent_ids)))
    return {row.name: row for row in rows}


def _target(
    snapshot: Snapshot,
    it: InventoryTarget,
    cluster_ids: Mapping[str, int],
    channels: Mapping[str, int],
    known: Mapping[str, Row[Any]],
) -> _Target:
    project, _, service = it.target.partition("/")
    cluster = f"{project}@{snapshot.name}"
    name = f"{cluster}/{service}"
    channel_id = channels.get(channel_name(it) or "")
    values = {key: getattr(it, key) or "" for key in _SAID} | {"held": it.held, "reason": it.reason}
    values |= {"state": str(it.state), "health": str(it.health), "containers": it.containers, "channel_id": channel_id}
    values["members"] = [asdict(one) for one in it.members]
    row = known.get(name)
    if row is None:
        return _Target(name, values | {"service": service}, cluster_ids[cluster])
    changed = row.gone_at is not None or any(getattr(row, key) != values[key] for key in (*_SAID, *_MORE))
    moved = row.digest != values["digest"]
    gone = row.gone_at is not None
    anew = gone or row.seen_at < row.enrolled_at
    same = _Target(name, values, row.cluster_id, row.id, row.digest, changed, moved, row.channel_id, anew, gone)
    return replace(same, held_now=it.held and not row.held, free_now=row.held and not it.held)


async def _leave(conn: AsyncConnection, gone: Sequence[Row[Any]], now: datetime) -> None:
    for some in pieces(sorted(row.id for row in gone)):
        await conn.execute(update(targets).where(targets.c.id.in_(some)).values(gone_at=now, drift_since=None))


async def _put(conn: AsyncConnection, here: Sequence[_Target], now: datetime) -> list[_Target]:
    """Write targets down; the same with the ids of those that are new."""
    for some in pieces(sorted(one.id for one in here if one.id is not None)):
        await conn.execute(update(targets).where(targets.c.id.in_(some)).values(seen_at=now, gone_at=None))
    changed = sorted((one for one in here if one.id is not None and one.changed), key=lambda one: one.id or 0)
    if changed:
        await conn.execute(_CHANGE, [{"which": one.id, **one.values} for one in changed])
    for some in pieces([one.id for one in changed if one.rechanneled and one.id is not None]):
        await conn.execute(update(targets).where(targets.c.id.in_(some)).values(wanted=""))
    for some in pieces([one.id for one in changed if one.moved and one.id is not None]):
        await conn.execute(update(targets).where(targets.c.id.in_(some)).values(digest_since=now))
    new = {one.name: one for one in here if one.id is None}
    if not new:
        return list(here)
    rows = [
        {"name": one.name, "cluster_id": one.cluster_id, **one.values, "seen_at": now, "digest_since": _since(one, now)}
        for one in new.values()
    ]
    made = await conn.execute(insert(targets).returning(targets.c.name, targets.c.id), rows)
    ids: dict[str, int] = {row.name: row.id for row in made}
    return [replace(one, id=ids[one.name]) if one.name in ids else one for one in here]


def _since(one: _Target, now: datetime) -> datetime | None:
    return now if one.values["digest"] else None


async def _note_runs(conn: AsyncConnection, moved: Sequence[_Target], now: datetime) -> None:
    """What runs where is history: with the rollout, where an assignment of it put it there."""
    digests = {one.id: one.values["digest"] for one in moved if one.id is not None}
    last, explained = dict[int, str](), dict[tuple[int, str], int]()
    for some in pieces(sorted(digests)):
        newest = select(func.max(runs.c.id)).where(runs.c.target_id.in_(some)).group_by(runs.c.target_id)
        found = await conn.execute(select(runs.c.target_id, runs.c.digest).where(runs.c.id.in_(newest)))
        last |= {row.target_id: row.digest for row in found}
        columns = assignments.c.target_id, assignments.c.digest, assignments.c.rollout_id
        given = select(*columns).where(assignments.c.target_id.in_(some)).order_by(assignments.c.generation)
        explained |= {(row.target_id, row.digest): row.rollout_id for row in await conn.execute(given)}
    rows = [
        {"target_id": id_, "digest": digest, "since": now, "rollout_id": explained.get((id_, digest))}
        for id_, digest in digests.items()
        if last.get(id_) != digest
    ]
    if rows:
        await conn.execute(insert(runs), rows)


def _touched(here: Sequence[_Target], gone: Sequence[Row[Any]]) -> set[int]:
    """Channels whose targets run something else now, or are others."""
    now = {
        one.values["channel_id"]
        for one in here
        if one.moved or one.anew or one.free_now or one.values["channel_id"] != one.before_channel
    }
    before = {one.before_channel for one in here if one.before_channel != one.values["channel_id"]}
    return {id_ for id_ in now | before | {row.channel_id for row in gone} if id_ is not None}


_CHANGE = (
    update(targets)
    .where(targets.c.id == bindparam("which"))
    .values({targets.c[key]: bindparam(key) for key in (*_SAID, *_MORE)})
)
