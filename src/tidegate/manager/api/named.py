"""Names that are given once."""

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.api.problems import conflict


async def refuse_taken(conn: AsyncConnection, table: Table, name: str, what: str, *, but: int = 0) -> None:
    """Refuse a name that another row than `but` has. Raises `Problem`."""
    taken = select(table.c.id).where(table.c.name == name, table.c.id != but)
    id_ = (await conn.execute(taken)).scalar_one_or_none()
    if id_ is not None:
        raise conflict("name-taken", f"{what.capitalize()} {id_} is called {name!r} already; take another name.")
