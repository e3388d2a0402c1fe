"""The SQLite driver: what may wait keeps nobody else waiting, and two never use one connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.support import databases

from tidegate.manager.store import schema, sqlite
from tidegate.manager.store.database import Database


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return databases.sqlite_copy(sqlite_template, tmp_path)


async def test_who_waits_for_another_writer_does_not_hold_up_the_loop(url: str, tmp_path: Path) -> None:
    db, other = Database.at(url), sqlite3.connect(tmp_path / "tidegate.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with db.write() as conn:
            await conn.execute(insert(schema.counters).values(name="x", value=1))

    writing = asyncio.create_task(write())
    turns = 0
    async with asyncio.timeout(4):  # less than a writer waits
        while turns < 20:
            await asyncio.sleep(0.001)
            turns += 1
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    other.close()
    await db.close()


async def test_who_is_cancelled_in_a_commit_leaves_no_half_of_one(tmp_path: Path) -> None:
    one = await sqlite.Opener(str(tmp_path / "one.db"))()
    begun, go_on = threading.Event(), threading.Event()

    def commit() -> None:
        begun.set()
        go_on.wait()

    committing = asyncio.create_task(one.apart(commit))
    await asyncio.to_thread(begun.wait)
    committing.cancel()
    await asyncio.sleep(0)
    committing.cancel()  # by somebody impatient
    done, _ = await asyncio.wait({committing}, timeout=0.05)
    assert not done
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await one.close()


async def test_a_connection_is_as_good_after_a_cancelled_write(url: str) -> None:
    db = Database.at(url)
    for number in range(30):  # more than there are connections

        async def write(number: int = number) -> None:
            async with db.write() as conn:
                await conn.execute(insert(schema.counters).values(name=f"n{number}", value=1))

        writing = asyncio.create_task(write())
        for _ in range(number % 10):
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    async with db.write() as conn:
        await conn.execute(insert(schema.counters).values(name="last", value=7))
    async with db.read() as conn:
        value = await conn.execute(select(schema.counters.c.value).where(schema.counters.c.name == "last"))
        assert value.scalar_one() == 7
    await db.close()


@pytest.mark.parametrize("count", [0, 1, sqlite.MANY - 1, sqlite.MANY, sqlite.MANY + 1, 5 * sqlite.MANY])
async def test_however_many_rows_there_are_all_come_in_their_order(url: str, count: int) -> None:
    db, names = Database.at(url), [f"n{number:04}" for number in range(count)]
    async with db.write() as conn:
        await conn.execute(schema.counters.delete())
        if names:
            await conn.execute(insert(schema.counters), [{"name": name, "value": 1} for name in names])
    async with db.read() as conn:
        found = await conn.execute(select(schema.counters.c.name).order_by(schema.counters.c.name))
        assert found.scalars().all() == names
    await db.close()


async def test_what_is_committed_outlives_the_connection(url: str) -> None:
    db = Database.at(url)
    async with db.write() as conn:
        await conn.execute(insert(schema.counters).values(name="kept", value=3))
    await db.close()
    again = Database.at(url)
    async with again.read() as conn:
        value = await conn.execute(select(schema.counters.c.value).where(schema.counters.c.name == "kept"))
        assert value.scalar_one() == 3
    await again.close()
