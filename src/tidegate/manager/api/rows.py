"""Reading and writing single rows for edits."""

from typing import Any

from sqlalchemy import Row, Table, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.api.etag import Edition
from tidegate.manager.api.problems import not_found


async def read_row(conn: AsyncConnection, table: Table, id_: int, what: str) -> Row[Any]:
    """The row with this id. Raises `Problem` where there is none; `what` is such as `window`."""
    row = (await conn.execute(select(table).where(table.c.id == id_))).one_or_none()
    if row is None:
        raise not_found(f"{what} {id_}")
    return row


async def held_row(
    conn: AsyncConnection, table: Table, id_: int, what: str, edition: Edition | None = None
) -> Row[Any]:
    """The same, for an edit: it stays as it is until the transaction ends. Raises `Problem`, also where it is stale."""
    row = (await conn.execute(select(table).where(table.c.id == id_).with_for_update())).one_or_none()
    if row is None:
        raise not_found(f"{what} {id_}")
    if edition is not None:
        edition.check(row.edition, f"{what.capitalize()} {id_}")
    return row


async def write_row(conn: AsyncConnection, table: Table, row: Row[Any], **values: Any) -> Row[Any]:
    """Change a row that is held; as it is then."""
    statement = update(table).where(table.c.id == row.id).values(**values, edition=row.edition + 1)
    changed: Row[Any] = (await conn.execute(statement.returning(table))).one()
    return changed


async def remove_row(conn: AsyncConnection, table: Table, row: Row[Any]) -> None:
    """Take a row away that is held."""
    await conn.execute(delete(table).where(table.c.id == row.id))
