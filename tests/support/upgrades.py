"""Databases as they were at earlier revisions, with everything in them that a manager had written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Connection, DateTime, MetaData, Table, delete, insert, null, text
from tests.support.upgrade_capture import FOLDER

from tidegate.manager.store.database import Database
from tidegate.manager.store.migrate import config, migrate

_ALEMBICS_OWN = "alembic_version"


def revisions() -> list[str]:
    """Every revision that there ever was, the first first."""
    return [one.revision for one in ScriptDirectory.from_config(config()).walk_revisions()][::-1]


def recorded(revision: str) -> dict[str, Any]:
    """What was in a database of this revision: `tables`, when (`at`), and the text of its `admin_token`."""
    path = FOLDER / f"{revision}.json"
    assert path.exists(), f"nothing is recorded of revision {revision}: python -m tests.support.upgrade_capture"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


async def make(db: Database, revision: str, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Bring an empty database to this revision, and fill it. The code's own tables, which are newer, are not asked."""
    await migrate(db, revision)
    async with db.write() as conn:
        await conn.run_sync(_fill, tables)


def _fill(connection: Connection, tables: dict[str, list[dict[str, Any]]]) -> None:
    there = MetaData()
    there.reflect(connection)
    assert there.tables.keys() - {_ALEMBICS_OWN} == tables.keys()
    for table in there.sorted_tables:
        if table.name != _ALEMBICS_OWN:
            _fill_one(connection, table, tables[table.name])


def _fill_one(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    assert rows, f"{table.name} is empty"
    connection.execute(delete(table))
    for row in rows:
        assert row.keys() == set(table.c.keys()), table.name
        connection.execute(insert(table).values({name: _value(table, name, it) for name, it in row.items()}))
    if connection.dialect.name == "postgresql":
        _go_on_numbering(connection, table)


def _value(table: Table, name: str, it: Any) -> Any:
    kind = table.c[name].type
    if it is None:
        return null()
    if isinstance(kind, DateTime):
        moment = datetime.fromisoformat(it).astimezone(UTC)
        return moment if kind.timezone else moment.replace(tzinfo=None)
    assert isinstance(kind, JSON) or not isinstance(it, dict | list), f"{table.name}.{name}"
    return it


def _go_on_numbering(connection: Connection, table: Table) -> None:
    """After the numbers that rows have, as where PostgreSQL had given them."""
    if "id" in table.c:
        found = connection.execute(text("SELECT pg_get_serial_sequence(:of, 'id')"), {"of": table.name}).scalar()
        if found:
            connection.execute(text(f"SELECT setval('{found}', (SELECT max(id) FROM {table.name}))"))
