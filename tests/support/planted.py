"""Rows that a rollout would have made, for tests of what agents tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, insert, select, update
from tests.support.bare_agent import NEW

from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import agents, assignments, channels, metadata, rollout_targets, rollouts, targets

LATER = datetime(2036, 1, 1, tzinfo=UTC)


async def rows(db: Database, table: str, *columns: str) -> list[Any]:
    """What is in a table, by its first column."""
    found = metadata.tables[table]
    what = [found.c[name] for name in columns] or list(found.c)
    async with db.read() as conn:
        read = (await conn.execute(select(*what).order_by(*found.primary_key.columns))).all()
    return [row[0] if len(columns) == 1 else tuple(row) if columns else row for row in read]


async def count(db: Database, table: str) -> int:
    """How many rows a table has."""
    async with db.read() as conn:
        return int((await conn.execute(select(func.count()).select_from(metadata.tables[table]))).scalar_one())


async def kinds(db: Database) -> list[str]:
    """What the feed told, oldest first."""
    return await rows(db, "feed", "kind")


async def plant_rollout(db: Database, now: datetime, *, progress: str = "offered", state: str = "running") -> int:
    """A rollout of `NEW` to every target, that nobody decides for years."""
    async with db.write() as conn:
        channel = (await conn.execute(select(channels.c.id).limit(1))).scalar_one()
        values = {"channel_id": channel, "digest": NEW, "kind": "update", "state": state, "requested_by": "ann"}
        made = insert(rollouts).values(**values, created_at=now, wake_at=LATER).returning(rollouts.c.id)
        id_ = int((await conn.execute(made)).scalar_one())
        for row in (await conn.execute(select(targets.c.id, targets.c.name))).all():
            about = {"rollout_id": id_, "target_id": row.id, "target": row.name, "progress": progress}
            await conn.execute(insert(rollout_targets).values(**about, generation=1))
    return id_


async def plant_assignment(db: Database, agent: str, rollout: int, now: datetime, **more: Any) -> str:
    """An assignment of `NEW` to an agent's first target, generation 1, open."""
    async with db.write() as conn:
        target = more.pop("target_id", None) or (await conn.execute(select(func.min(targets.c.id)))).scalar_one()
        about = {"agent_id": agent, "target_id": target, "rollout_id": rollout, "digest": NEW, "generation": 1}
        times = {"issued_at": now, "expires_at": now + timedelta(hours=1)}
        values = {"id": f"a{target}g{more.get('generation', 1)}", "open": True} | about | times | more
        await conn.execute(insert(assignments).values(**values))
    return str(values["id"])


async def plant_agent(db: Database, now: datetime, name: str, key: str = "", **more: Any) -> str:
    """An agent that has enrolled, and knows the manager by this key; its id."""
    return (await plant_agents(db, now, {name: ""}, key, **more))[0]


async def plant_agents(db: Database, now: datetime, keys: Mapping[str, str], key: str = "", **more: Any) -> list[str]:
    """Agents that have enrolled, their public keys by their names; their ids, in the same order."""
    about = {"enrolled_at": now, "manager_key": key} | more
    made: list[dict[str, Any]] = [
        {"id": uuid4().hex, "name": name, "public_key": public} | about for name, public in keys.items()
    ]
    async with db.write() as conn:
        await conn.execute(insert(agents), made)
    return [one["id"] for one in made]


async def alter(db: Database, table: str, **values: Any) -> None:
    """Change every row of a table."""
    async with db.write() as conn:
        await conn.execute(update(metadata.tables[table]).values(**values))
