"""Cutting an agent off."""

from datetime import datetime

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.known import tell_revoked
from tidegate.manager.agents.wakes import wake_rollouts_of
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.store.schema import agents, outbox
from tidegate.manager.telling.feed import tell


async def revoke(conn: AsyncConnection, agent: str, by: Actor, now: datetime, *, reason: str = "") -> bool:
    """Cut off the agent with this id, on every replica at once; whether it was not cut off before.

    What is on its way to it is gone; its targets stay, as offline, until an agent of its name enrols again. What it was
    assigned and had not told the end of is offered to that one anew.
    """
    await wake_rollouts_of(conn, [agent], now)
    statement = (
        update(agents)
        .where(agents.c.id == agent, agents.c.revoked_at.is_(None))
        .values(revoked_at=now, online=False, edition=agents.c.edition + 1)
        .returning(agents.c.name)
    )
    name = (await conn.execute(statement)).scalar_one_or_none()
    if name is None:
        return False
    await conn.execute(delete(outbox).where(outbox.c.agent_id == agent))
    before, after = ({"id": agent, "revoked": is_so} for is_so in (False, True))
    said = {"reason": reason} if reason else {}
    await record(conn, by, "agent.revoke", f"agent {name}", now, before=before, after=after | said)
    await tell(conn, "agent.revoked", f"agent {name}", now, agent=name, by=by.name)
    tell_revoked(conn, agent)
    return True
