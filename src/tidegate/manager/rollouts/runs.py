"""What runs on targets, and what ran there before."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import runs, targets


async def note_runs(
    conn: AsyncConnection,
    digests: Mapping[int, str],
    now: datetime,
    *,
    rollout_id: int | None = None,
    wanted_on: int | None = None,
) -> None:
    """By target ids, the digest that runs there; what is no news changes nothing.

    `wanted_on`: it is to run there, as long as the target follows this channel.
    """
    ids = sorted(digests)
    if wanted_on is not None and ids:
        rows = [{"which": id_, "it": digests[id_]} for id_ in ids]
        these = targets.c.id == bindparam("which"), targets.c.channel_id == wanted_on
        await conn.execute(update(targets).where(*these).values(wanted=bindparam("it")), rows)
    known: dict[int, str] = {}
    for some in pieces(ids):
        found = await conn.execute(select(targets.c.id, targets.c.digest).where(targets.c.id.in_(some)))
        known |= {one.id: one.digest for one in found}
    news = [id_ for id_ in ids if known.get(id_, digests[id_]) != digests[id_]]
    if not news:
        return
    values = {"digest": bindparam("it"), "digest_since": now, "drift_since": None}
    rows = [{"which": id_, "it": digests[id_]} for id_ in news]
    await conn.execute(update(targets).where(targets.c.id == bindparam("which")).values(values), rows)
    ran = [{"target_id": id_, "digest": digests[id_], "since": now, "rollout_id": rollout_id} for id_ in news]
    await conn.execute(insert(runs), ran)


async def want_there(conn: AsyncConnection, ids: Collection[int], digest: str) -> None:
    """A digest is to run on these targets, which do run it: nothing else brings it there, and it is no drift."""
    await hold_targets(conn, ids)
    for some in pieces(sorted(ids)):
        await conn.execute(update(targets).where(targets.c.id.in_(some)).values(wanted=digest))


async def hold_targets(conn: AsyncConnection, ids: Iterable[int]) -> None:
    """Have nobody else change these targets until the transaction ends.

    Everybody who changes several holds them first, and in this order: else two would wait for each other.
    """
    if conn.dialect.name == "postgresql":
        for some in pieces(sorted(ids)):
            held = select(targets.c.id).where(targets.c.id.in_(some)).order_by(targets.c.id)
            await conn.execute(held.with_for_update(key_share=True))


async def ran_on(conn: AsyncConnection, target_ids: Sequence[int]) -> dict[int, set[str]]:
    """By target ids, the digests that ran there, or do."""
    found: dict[int, set[str]] = {}
    for some in pieces(target_ids):
        statement = select(runs.c.target_id, runs.c.digest).where(runs.c.target_id.in_(some)).distinct()
        for one in await conn.execute(statement):
            found.setdefault(one.target_id, set()).add(one.digest)
    return found


async def first_runs(conn: AsyncConnection, channel_ids: Iterable[int]) -> dict[int, dict[str, datetime]]:
    """By channel ids, the digests that ran on targets of it and since when, the newest first."""
    since, first = func.min(runs.c.since), func.min(runs.c.id)
    statement = (
        select(targets.c.channel_id, runs.c.digest, since.label("since"))
        .join(targets, targets.c.id == runs.c.target_id)
        .where(targets.c.channel_id.in_(sorted(set(channel_ids))))
        .group_by(targets.c.channel_id, runs.c.digest)
        .order_by(since.desc(), first.desc())
    )
    found: dict[int, dict[str, datetime]] = {}
    for one in await conn.execute(statement):
        found.setdefault(one.channel_id, {})[one.digest] = one.since
    return found
