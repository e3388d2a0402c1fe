"""Bringing a database to what this version of the manager needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreError

_LOCK = 7_404_433
"""Of PostgreSQL's advisory locks, the one that replicas wait for that start at once."""


def config(connection: Connection | None = None) -> Config:
    """What Alembic goes by."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    made.attributes["connection"] = connection
    return made


async def migrate(db: Database, to: str = "head") -> tuple[str, str]:
    """Run what was not run yet, all of it or nothing; the revisions before (empty: none) and after.

    Raises `StoreUnavailableError`, and `StoreError` where a newer version of the manager has been here or where the
    database cannot hold every text.
    """
    async with db.write() as conn:
        return await conn.run_sync(_migrate, to, postgres=db.is_postgres)


def _migrate(connection: Connection, to: str, *, postgres: bool) -> tuple[str, str]:
    if postgres:
        _check_encoding(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    before = _revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()}
    if before and before not in known:
        raise StoreError(
            f"the database is of a newer version of Tidegate (revision {before}): run that version, or restore the "
            f"backup that was made before it"
        )
    command.upgrade(config(connection), to)
    return before, _revision(connection)


def _check_encoding(connection: Connection) -> None:
    """A server that was set up without a locale makes databases of SQL_ASCII, which know nothing of characters."""
    encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if encoding != "UTF8":
        raise StoreError(
            f"the database's encoding is {encoding}, it takes UTF8: make it anew with "
            f"CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""
