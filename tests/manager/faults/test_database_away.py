"""The database is gone, locked or full in the middle of a rollout: who asks is told to come back, and all goes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text
from tests.manager.faults.conftest import Gather
from tests.manager.faults.test_kill_manager import GOOD, WAVES, right_end, script
from tests.support import databases, postgres
from tests.support.absent import cannot, need_root
from tests.support.daemon import mounted
from tests.support.manager import token
from tests.support.manager_program import ManagerProgram
from tests.support.simulated_fleet import SimulatedFleet

from groundwork.paths import GroundError
from tidegate.manager.people.roles import Role
from tidegate.manager.store import postgres as connecting
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError

_DISK_MIB = 8
_SILENT_S = 45
"""So long anybody waits at most for a database that is silent."""


async def midway(gather: Gather, one: ManagerProgram) -> SimulatedFleet:
    """A fleet in the middle of a rollout of the good release."""
    one.start()
    await one.ready()
    fleet: SimulatedFleet = await gather([one], script=script(random.Random(5), 0.5), policy=WAVES)
    await fleet.join()
    fleet.sight(GOOD)
    async with asyncio.timeout(60):
        while len(fleet.world.record.got) < 3:
            await asyncio.sleep(0.01)
    return fleet


async def turned_away(fleet: SimulatedFleet) -> None:
    """Return when agents have been told to come back. That a 503 says when, their record sees to."""
    for agent in fleet.agents:
        agent.tell(agent.inventory())
    async with asyncio.timeout(60):
        while fleet.world.record.answers["events 503"] < 3:
            await asyncio.sleep(0.01)


async def asked(one: ManagerProgram, person: str) -> tuple[int, str | None]:
    """What a person who asks for rollouts gets, and when to come back."""
    headers = {"Authorization": f"Bearer {person}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{one.url}/api/v1/rollouts") as answer,
    ):
        return answer.status, answer.headers.get("Retry-After")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[postgres.Server]:
    """A PostgreSQL of this test's own, to be stopped."""
    try:
        postgres.programs()
    except GroundError as error:
        cannot(str(error))
    one = postgres.Server(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of the database that is named: `own` (PostgreSQL), `file`, or `small` (a file on a small disk)."""
    if request.param == "own":
        url = f"{request.getfixturevalue('server').address}/postgres"
        databases.migrated(url)
        yield url
        return
    folder, template = tmp_path / "disk", request.getfixturevalue("sqlite_template")
    folder.mkdir()
    if request.param == "small":
        need_root("a disk is mounted")
    with mounted(folder, _DISK_MIB) if request.param == "small" else contextlib.nullcontext():
        yield databases.sqlite_copy(template, folder)


@pytest.fixture
async def person(db: Database) -> str:
    """Somebody's token."""
    async with db.write() as conn:
        return await token(conn, Role.VIEWER)


@pytest.mark.parametrize("database_url", ["own"], indirect=True)
async def test_the_database_is_stopped_and_started(
    program: ManagerProgram, gather: Gather, server: postgres.Server, person: str
) -> None:
    fleet = await midway(gather, program)
    server.stop()
    await turned_away(fleet)
    assert await asked(program, person) == (503, "5")
    server.start()
    await right_end(fleet, GOOD)


async def frozen_amid_a_transaction(db: Database, server: postgres.Server) -> None:
    async with db.write() as conn:
        server.freeze()
        await conn.execute(text("SELECT"))


@pytest.mark.parametrize("database_url", ["own"], indirect=True)
async def test_who_asks_a_silent_database_is_told_so_and_the_next_is_answered_when_it_speaks_again(
    db: Database, server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.try_to_write()
    monkeypatch.setattr(connecting, "_SILENT_S", 0.2)
    monkeypatch.setattr(connecting, "_CONNECT_S", 0.5)
    async with asyncio.timeout(60):
        with pytest.raises(StoreUnavailableError, match="closed the connection"):
            await frozen_amid_a_transaction(db, server)
        with pytest.raises(StoreUnavailableError, match="no connection within"):
            await db.try_to_write()
    server.thaw()
    monkeypatch.setattr(connecting, "_SILENT_S", 60.0)
    monkeypatch.setattr(connecting, "_CONNECT_S", 60.0)
    await db.try_to_write()


@pytest.mark.long
@pytest.mark.parametrize("database_url", ["own"], indirect=True)
async def test_the_database_says_nothing_any_more(
    program: ManagerProgram, gather: Gather, server: postgres.Server, person: str
) -> None:
    fleet = await midway(gather, program)
    server.freeze()
    async with asyncio.timeout(_SILENT_S):
        assert await asked(program, person) == (503, "5")
    await turned_away(fleet)
    server.thaw()
    await right_end(fleet, GOOD)


async def readiness(program: ManagerProgram) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{program.url}/readyz") as answer:
        return answer.status


@pytest.mark.parametrize("database_url", ["file"], indirect=True)
async def test_somebody_else_has_locked_the_database(
    program: ManagerProgram, gather: Gather, tmp_path: Path, person: str
) -> None:
    fleet = await midway(gather, program)
    with contextlib.closing(sqlite3.connect(tmp_path / "disk" / "tidegate.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        await turned_away(fleet)
        assert (await asked(program, person))[0] == 200  # what is read is not held up
        assert await readiness(program) == 503
        other.execute("ROLLBACK")
    await right_end(fleet, GOOD)
    assert await readiness(program) == 200


def filled(disk: Path) -> Path:
    """A file that takes all of the disk that is left."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(4096))
    return filler


@pytest.mark.parametrize("database_url", ["small"], indirect=True)
async def test_a_disk_is_full_until_there_is_room_for_more_than_the_least_of_writes(
    db: Database, tmp_path: Path
) -> None:
    await db.try_to_write()
    filler = filled(tmp_path / "disk")
    with pytest.raises(StoreUnavailableError, match="full"):
        await written(db, 200_000)
    os.truncate(filler, filler.stat().st_size - 32 * 1024)
    await written(db, 1)
    with pytest.raises(StoreUnavailableError, match="full"):
        await db.try_to_write()
    filler.unlink()
    await db.try_to_write()
    assert db.cannot_write is None


async def written(db: Database, size: int) -> None:
    async with db.write() as conn:
        await conn.execute(text("CREATE TABLE IF NOT EXISTS more (text TEXT)"))
        await conn.execute(text("INSERT INTO more VALUES (:text)"), {"text": "x" * size})


@pytest.mark.parametrize("database_url", ["small"], indirect=True)
async def test_the_disk_of_the_database_is_full(
    program: ManagerProgram, gather: Gather, tmp_path: Path, person: str
) -> None:
    fleet = await midway(gather, program)
    filler = filled(tmp_path / "disk")
    await turned_away(fleet)
    assert (await asked(program, person))[0] == 200
    for _ in range(8):
        assert await readiness(program) == 503
        await asyncio.sleep(0.25)
    filler.unlink()
    await right_end(fleet, GOOD)
    assert await readiness(program) == 200
