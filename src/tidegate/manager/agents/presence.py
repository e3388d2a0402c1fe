"""When agents were heard last, and telling when one comes or goes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.wakes import wake_rollouts_of
from tidegate.manager.store.columns import Moment
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import agents
from tidegate.manager.telling.feed import Said, tell_all

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Heard:
    """When an agent was heard, by the manager's clock, and what it said of itself."""

    at: datetime
    version: str
    protocol: int
    address: str


async def note_heard(conn: AsyncConnection, heard: Mapping[str, Heard]) -> set[str]:
    """Write down who was heard, by agents' ids; of whom it was. What was heard later, elsewhere, stays.

    A row that somebody holds is passed over. That one is to be written down next time: it may poll again only in a
    minute, and is offline until it was heard.
    """
    noted = set(heard)
    rows = [
        {"which": id_, "at": one.at, "version": one.version, "protocol": one.protocol, "address": one.address}
        for id_, one in sorted(heard.items())
    ]
    if conn.dialect.name == "postgresql":
        noted = set()
        for some in pieces(rows, _AT_ONCE):
            values = {name: [row[name] for row in some] for name in some[0]}
            noted |= set((await conn.execute(_POSTGRES, values)).scalars())
    elif rows:
        await conn.execute(_SQLITE, rows)
    return noted


@dataclass(frozen=True, slots=True)
class Silence:
    """At `now`, an agent that was heard since `there_since` is there. One that was not is gone, if `tell_gone`."""

    now: datetime
    there_since: datetime
    tell_gone: bool = True

    def changed(self) -> Any:
        """The agents of whom that is news."""
        news = and_(agents.c.online.is_(False), agents.c.last_seen_at >= self.there_since)
        if self.tell_gone:
            news = or_(news, and_(agents.c.online.is_(True), agents.c.last_seen_at < self.there_since))
        return and_(agents.c.revoked_at.is_(None), news)


async def tell_who_came_and_went(conn: AsyncConnection, silence: Silence) -> None:
    """Tell of agents that are there again, or no more, and have their rollouts decided anew; each is told once."""
    ids = (await conn.execute(select(agents.c.id).where(silence.changed()))).scalars().all()
    for some in pieces(ids, _AT_ONCE):
        await _tell(conn, some, silence)


async def has_anybody_come_or_gone(conn: AsyncConnection, silence: Silence) -> bool:
    """Whether there is anything to tell."""
    return (await conn.execute(select(agents.c.id).where(silence.changed()).limit(1))).first() is not None


async def _tell(conn: AsyncConnection, ids: Sequence[str], silence: Silence) -> None:
    await wake_rollouts_of(conn, ids, silence.now)  # first: who decides a rollout locks it before its agents
    held = select(agents.c.id).where(agents.c.id.in_(ids), silence.changed()).order_by(agents.c.id)
    these = (await conn.execute(held.with_for_update(key_share=True))).scalars().all()
    statement = (
        update(agents)
        .where(agents.c.id.in_(these))
        .values(online=~agents.c.online)
        .returning(agents.c.name, agents.c.online, agents.c.last_seen_at)
    )
    rows = (await conn.execute(statement)).all()
    await tell_all(conn, [_event(row) for row in sorted(rows)], silence.now)


def _event(row: Any) -> Said:
    kind = "agent.online" if row.online else "agent.offline"
    return kind, f"agent {row.name}", {"agent": row.name, "last_seen_at": row.last_seen_at.isoformat()}


_POSTGRES = text(
    "UPDATE agents SET (last_seen_at, version, protocol, address) = ROW (greatest(last_seen_at, new.at), "
    "CASE WHEN last_seen_at > new.at THEN agents.version ELSE new.version END, "
    "CASE WHEN last_seen_at > new.at THEN agents.protocol ELSE new.protocol END, "
    "CASE WHEN last_seen_at > new.at THEN agents.address ELSE new.address END) "
    "FROM (SELECT id FROM agents WHERE id = ANY(CAST(:which AS text[])) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED) "
    "AS free JOIN unnest(CAST(:which AS text[]), CAST(:at AS timestamptz[]), CAST(:version AS text[]), "
    "CAST(:protocol AS integer[]), CAST(:address AS text[])) AS new(which, at, version, protocol, address) "
    "ON new.which = free.id WHERE agents.id = free.id RETURNING agents.id"
)
_SQLITE = (
    update(agents)
    .where(agents.c.id == bindparam("which"))
    .where(or_(agents.c.last_seen_at.is_(None), agents.c.last_seen_at <= bindparam("at", type_=Moment)))
    .values(
        last_seen_at=bindparam("at", type_=Moment),
        version=bindparam("version"),
        protocol=bindparam("protocol"),
        address=bindparam("address"),
    )
)
