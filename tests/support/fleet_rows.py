"""Rows of a small fleet, written straight into the database: for tests of what only reads them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Table, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def digest(letter: str) -> str:
    """A digest that is easily told from others."""
    return f"sha256:{letter * 64}"


async def add(conn: AsyncConnection, table: Table, **values: Any) -> int:
    """A row with the id that it gets."""
    return int((await conn.execute(insert(table).values(values).returning(table.c.id))).scalar_one())


async def change(db: Database, table: Table, id_: int | str, **values: Any) -> None:
    """Change a row."""
    async with db.write() as conn:
        await conn.execute(update(table).where(table.c.id == id_).values(values))


class Fleet:
    """One channel, one agent `berlin1` with one cluster, and one target of it, `shop@berlin1/web`, healthy."""

    channel: int
    cluster: int
    target: int

    def __init__(self, db: Database) -> None:
        self.db = db

    async def made(self) -> "Fleet":
        """With its rows."""
        async with self.db.write() as conn:
            name = {"name": "ghcr.io/acme/web:1", "repository": "ghcr.io/acme/web", "tag": "1"}
            self.channel = await add(conn, schema.channels, **name, policy={}, created_at=NOON)
            seen = {"enrolled_at": NOON, "last_seen_at": NOON}
            await conn.execute(insert(schema.agents).values(id="a1", name="berlin1", public_key="k", labels={}, **seen))
            self.cluster = await add(
                conn, schema.clusters, name="shop@berlin1", project="shop", agent_id="a1", labels={}, created_at=NOON
            )
            self.target = await self.add_target(conn, "web")
        return self

    async def add_target(self, conn: AsyncConnection, service: str, **more: Any) -> int:
        """One more target of the cluster."""
        values = {"service": service, "name": f"shop@berlin1/{service}", "digest": digest("a"), "health": "healthy"}
        of = {"cluster_id": self.cluster, "channel_id": self.channel, "seen_at": NOON}
        return await add(conn, schema.targets, **values | of | more)

    async def add_rollout(self, state: str, **more: Any) -> int:
        """A rollout on the channel."""
        values = {"digest": digest("b"), "kind": "update", "requested_by": "ann", "created_at": NOON, "policy": {}}
        async with self.db.write() as conn:
            return await add(conn, schema.rollouts, channel_id=self.channel, state=state, counts={}, **values | more)

    async def assign(self, rollout: int, generation: int, outcome: str = "", *, target: int = 0, **more: Any) -> str:
        """An assignment of the target, which has gone so."""
        target = target or self.target
        id_ = f"{target}-{generation}"
        values = {"agent_id": "a1", "digest": digest("b"), "issued_at": NOON, "expires_at": NOON, "told_at": NOON}
        async with self.db.write() as conn:
            row = values | {"id": id_, "target_id": target, "rollout_id": rollout, "generation": generation}
            await conn.execute(insert(schema.assignments).values(**row, outcome=outcome, **more))
        return id_
