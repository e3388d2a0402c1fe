"""Which of several replicas does what one is to do, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import text
from tests.support import databases

from tidegate.manager import leader
from tidegate.manager.leader import Leader
from tidegate.manager.store.database import Database

LIMIT_S = 60


class Work:
    """A service that says when it begins and when it ends."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        self.ended.clear()
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.begun.clear()
            self.ended.set()


@pytest.fixture
def dsn(postgres_server: str) -> Iterator[str]:
    """The address of an empty database."""
    with databases.postgres_database(postgres_server) as url:
        yield url


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas look more often than they do, so that nobody waits for seconds."""
    monkeypatch.setattr(leader, "_LOOK_S", 0.1)


@asynccontextmanager
async def replica(dsn: str) -> AsyncIterator[Work]:
    """A replica that waits to lead, or leads."""
    work = Work()
    task = asyncio.create_task(Leader(dsn, [work]).run())
    try:
        yield work
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def soon(event: asyncio.Event) -> None:
    """Wait for it."""
    async with asyncio.timeout(LIMIT_S):
        await event.wait()


async def test_one_of_two_leads_and_the_other_one_when_that_ends(dsn: str) -> None:
    async with replica(dsn) as other:
        async with replica(dsn) as first:
            await soon_one_of(first, other)
            await asyncio.sleep(0.5)  # five looks
            assert first.begun.is_set() != other.begun.is_set()
        await soon(other.begun)


async def soon_one_of(*works: Work) -> None:
    """Wait until one of them works."""
    waits = [asyncio.create_task(soon(one.begun)) for one in works]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in waits:
        one.cancel()


async def test_who_loses_its_connection_stops_and_leads_again_later(dsn: str) -> None:
    async with replica(dsn) as work:
        await soon(work.begun)
        ended = asyncio.create_task(soon(work.ended))  # before it begins again, which takes a moment only
        await asyncio.sleep(0)
        await end_sessions(dsn)
        await ended
        await soon(work.begun)


async def end_sessions(dsn: str) -> None:
    """What a restart of the server does to those who are connected."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_who_is_not_heard_for_a_while_leads_no_more(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "_GIVE_UP", leader._GIVE_UP.replace("15s", "200ms"))
    monkeypatch.setattr(leader, "_LOOK_S", 1.0)  # as if it was suspended meanwhile
    async with replica(dsn) as suspended:
        await soon(suspended.begun)
        await soon(suspended.ended)


async def test_a_server_that_is_not_there_yet_is_asked_again(postgres_server: str) -> None:
    name = "not_there_yet"
    async with replica(f"{postgres_server}/{name}") as work:
        await asyncio.sleep(0.3)  # it has asked by then
        assert not work.begun.is_set()
        async with await psycopg.AsyncConnection.connect(f"{postgres_server}/postgres", autocommit=True) as conn:
            await conn.execute(f"CREATE DATABASE {name}")
            await soon(work.begun)
            await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_the_server_notices_when_a_manager_has_vanished(dsn: str) -> None:
    """Else what it held would be held for hours; the settings count for connections that are made over a network."""
    db = Database.at(dsn)
    async with db.read() as conn:
        names = ("tcp_keepalives_idle", "tcp_user_timeout", "idle_in_transaction_session_timeout")
        found = [(await conn.execute(text(f"SHOW {name}"))).scalar() for name in names]
    await db.close()
    assert found == ["15", "15000", "1min"]
