"""Numbers that only go up, and are seen in their order: who has one holds it until the transaction ends."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.store.schema import counters


async def advance(conn: AsyncConnection, name: str, by: int = 1) -> int:
    """Count on by so many; the number that was reached."""
    statement = update(counters).where(counters.c.name == name).values(value=counters.c.value + by)
    return int((await conn.execute(statement.returning(counters.c.value))).scalar_one())


async def current(conn: AsyncConnection, name: str, *, hold: bool = False, to_change: bool = False) -> int:
    """The number now; with `hold` it stays that until the transaction ends, or until it is changed there.

    Several may hold it together, but for who holds it `to_change`: of two that come to that while both have it, each
    would wait for the other.
    """
    statement = select(counters.c.value).where(counters.c.name == name)
    if hold:
        statement = statement.with_for_update(read=not to_change, key_share=to_change)
    return int((await conn.execute(statement)).scalar_one())


async def change_world(conn: AsyncConnection) -> None:
    """Quarantine, windows, freezes or policies have changed, or a rollout has turned round.

    What is decided without that does not count.
    """
    await advance(conn, "world")
