"""Databases for tests of the manager: a fresh one each, already migrated, as fast as a copy is made."""

import asyncio
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tidegate.manager.store.database import Database
from tidegate.manager.store.migrate import migrate


def migrated(url: str) -> None:
    """Bring the database with this address to the newest revision."""

    async def work() -> None:
        db = Database.at(url)
        await migrate(db)
        await db.close()

    asyncio.run(work())


def sqlite_template(folder: Path) -> Path:
    """A migrated file, to be copied."""
    path = folder / "template.db"
    migrated(f"sqlite:///{path}")
    return path


def sqlite_copy(template: Path, folder: Path) -> str:
    """The address of a copy."""
    path = folder / "tidegate.db"
    shutil.copy(template, path)
    return f"sqlite:///{path}"


def postgres_template(server: str) -> str:
    """The name of a migrated database of the server with this address, to be copied."""
    name = "template_tidegate"
    _run(server, f"CREATE DATABASE {name}")
    migrated(f"{server}/{name}")
    return name


@contextmanager
def postgres_database(server: str, template: str = "template1") -> Iterator[str]:
    """The address of a database of its own, gone afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    _run(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield f"{server}/{name}"
    finally:
        _run(server, f"DROP DATABASE {name} WITH (FORCE)")


def _run(server: str, statement: str) -> None:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as conn:
        conn.execute(statement)
