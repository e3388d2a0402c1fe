"""With a key that is not the newest of the manager's nothing is signed, whoever still has it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs
from tests.support.bare_agent import NEW, REPOSITORY, BareAgent
from tests.support.planted import count, plant_agent, rows
from tests.support.real_manager import RealManager

from tidegate.domain.assignment import Assignment
from tidegate.manager.agents import newest_key, outbox
from tidegate.manager.agents.keys import KeyFile, KeysError, ManagerKeys, make_key_file, read_keys, rotate
from tidegate.manager.agents.newest_key import KeyBehindError
from tidegate.manager.api.routes import health
from tidegate.manager.parts import now as clock
from tidegate.manager.rollouts import with_newest_key
from tidegate.manager.rollouts.with_newest_key import WithNewestKey
from tidegate.manager.store.database import Database
from tidegate.protocol.signed import Pin, read_document


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with one key."""
    make_key_file(tmp_path / "signing.key")
    return tmp_path / "signing.key"


async def send(
    db: Database, keys: ManagerKeys, agent: str, *, before: Callable[[AsyncConnection], Awaitable[None]] | None = None
) -> None:
    """Send an agent something; `before` that is committed, wait."""
    now = clock()
    it = Assignment(f"{agent}.1", agent, "shop/web", REPOSITORY, NEW, 1, now, now + timedelta(hours=1))
    async with db.write() as conn:
        await outbox.send(conn, keys, [(agent, it)])
        if before is not None:
            await before(conn)


async def waiting(conn: AsyncConnection) -> int:
    """How many transactions wait for another one."""
    statement = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    return int((await conn.execute(text(statement))).scalar_one())


async def claimed(db: Database, path: Path) -> ManagerKeys:
    """The keys of a file that may sign from now on."""
    async with db.write() as conn:
        return await newest_key.claim(conn, path, clock())


async def test_the_key_before_signs_nothing_once_the_next_is_known(db: Database, key_file: Path) -> None:
    old = await claimed(db, key_file)
    id_ = await plant_agent(db, clock(), "berlin1", old.public)
    await send(db, old, id_)
    new = rotate(key_file)
    await send(db, new, id_)
    before = await rows(db, "outbox", "signature")
    with pytest.raises(KeyBehindError) as caught:
        await send(db, old, id_)
    assert await rows(db, "outbox", "signature") == before
    assert all(one in str(caught.value) for one in (str(key_file), old.public, new.public, "adopt-key"))
    assert await rows(db, "signing_keys", "public_key") == [old.public, new.public]


async def test_who_waits_for_an_agent_that_is_just_told_of_the_next_key_signs_nothing(
    db: Database, database_url: str, key_file: Path
) -> None:
    old = await claimed(db, key_file)
    id_ = await plant_agent(db, clock(), "berlin1", old.public)
    new, late, other = rotate(key_file), list[asyncio.Task[None]](), Database.at(database_url)

    async def other_comes(conn: AsyncConnection) -> None:
        late.append(asyncio.create_task(send(other if db.is_postgres else db, old, id_)))
        async with asyncio.timeout(60):
            while db.is_postgres and not await waiting(conn):  # in SQLite it waits for its turn
                await asyncio.sleep(0.01)

    await send(db, new, id_, before=other_comes)
    with pytest.raises(KeyBehindError):
        await late[0]
    await other.close()
    assert await count(db, "outbox") == 2


@pytest.mark.parametrize("kept", [0, 1])
async def test_a_key_that_nobody_knows_is_the_next_only_with_the_one_before_it(
    db: Database, key_file: Path, kept: int
) -> None:
    old = await claimed(db, key_file)
    new = rotate(key_file, keep=kept)
    async with db.read() as conn:
        assert (await newest_key.behind(conn, new) is None) == bool(kept)
    if not kept:
        with pytest.raises(KeyBehindError):
            await claimed(db, key_file)
    assert await rows(db, "signing_keys", "public_key") == [old.public]


async def test_a_file_with_the_newest_key_behind_an_older_one_does_not_sign(db: Database, key_file: Path) -> None:
    old = await claimed(db, key_file)
    rotate(key_file)
    new = await claimed(db, key_file)
    async with db.read() as conn:
        assert await newest_key.behind(conn, ManagerKeys((old.signing, new.signing))) is not None


async def test_no_key_is_made_where_agents_know_one(db: Database, key_file: Path, tmp_path: Path) -> None:
    known = (await claimed(db, key_file)).public
    lost = tmp_path / "lost.key"
    with pytest.raises(KeysError) as caught:
        await claimed(db, lost)
    assert (str(lost) in str(caught.value), known in str(caught.value)) == (True, True)
    assert not lost.exists()


async def test_of_two_replicas_that_start_at_once_without_a_key_one_makes_it(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    other = Database.at(database_url)
    paths = [tmp_path / "one.key", tmp_path / "two.key"]
    ended = await asyncio.gather(*map(claimed, (db, other), paths), return_exceptions=True)
    await other.close()
    assert [type(one) for one in ended if not isinstance(one, ManagerKeys)] == [KeysError]
    assert [path.exists() for path in paths] == [isinstance(one, ManagerKeys) for one in ended]
    assert await count(db, "signing_keys") == 1


# a manager that runs


@pytest.fixture
def key_of(manager: RealManager) -> Path:
    """The file of a manager's keys."""
    return manager.settings.signing_key_file


async def fall_behind(manager: RealManager) -> bytes:
    """Have it find the copy from before a rotation; the file as it should be."""
    path = manager.settings.signing_key_file
    old = path.read_bytes()
    rotate(path)
    await claimed(manager.parts.db, path)
    new = path.read_bytes()
    path.write_bytes(old)
    await manager.link.look_at_key()
    return new


async def test_agents_are_not_answered_with_an_older_key_and_are_again_with_the_newest(
    manager: RealManager, agent: BareAgent, session: aiohttp.ClientSession, key_of: Path
) -> None:
    new = await fall_behind(manager)
    stranger = BareAgent(manager.url, session, "paris1")
    token = await manager.token()
    answers = [await agent.ask(), await stranger.enrol(token)]
    assert [(one.status, one.code) for one in answers] == [(503, "signing-key")] * 2
    assert "newest" in answers[0].body["detail"]
    assert await count(manager.parts.db, "agents") == 1
    key_of.write_bytes(new)
    await manager.link.look_at_key()
    await manager.link.pin()
    (item,) = await agent.poll()
    told = read_document(agent.manager_key, item.document, item.signature)
    assert isinstance(told, Pin)
    assert told.key == read_keys(key_of).public
    assert (await stranger.enrol(token)).status == 200


async def test_a_poll_that_is_held_when_the_key_falls_behind_gives_nothing(
    manager: RealManager, agent: BareAgent
) -> None:
    held = asyncio.create_task(agent.ask(wait_s=50))
    while not len(manager.link.held):
        await asyncio.sleep(0.01)
    new = await fall_behind(manager)
    right = manager.settings.data / "right.key"
    right.write_bytes(new)
    await send(manager.parts.db, read_keys(right), agent.id)  # as another replica does
    async with asyncio.timeout(40):
        assert (await held).code == "signing-key"


async def test_it_is_not_ready_and_the_log_says_why_once(
    manager: RealManager, session: aiohttp.ClientSession, key_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_FRESH_S", 0.0)
    old = manager.link.keys().public

    async def ready() -> tuple[int, str]:
        async with session.get(f"{manager.url}/readyz") as got:
            return got.status, (await got.json(content_type=None)).get("code", "")

    with capture_logs() as logs:
        new = await fall_behind(manager)
        await manager.link.look_at_key()
        assert await ready() == (503, "signing-key")
    (said,) = [one for one in logs if one["log_level"] == "error"]
    assert all(one in said["reason"] for one in (str(key_of), old))
    key_of.write_bytes(new)
    assert await ready() == (200, "")


async def test_a_clock_is_not_set_by_an_older_key(manager: RealManager, agent: BareAgent) -> None:
    await fall_behind(manager)
    with pytest.raises(KeyBehindError):
        manager.link._time_proofs(await manager.link._known.find(agent.id), "0" * 32, 0)  # type: ignore[arg-type]


class Work:
    """A service that says whether it is at work."""

    def __init__(self) -> None:
        self.begun, self.ended = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
            self.begun.clear()


async def test_rollouts_are_decided_only_with_the_newest_key(
    db: Database, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(with_newest_key, "_LOOK_S", 0.02)
    await claimed(db, key_file)
    old, keys, work = key_file.read_bytes(), KeyFile(key_file), Work()
    rotate(key_file)
    await claimed(db, key_file)
    task = asyncio.create_task(WithNewestKey(db, keys, [work]).run())
    try:
        async with asyncio.timeout(40):
            await work.begun.wait()
            new = key_file.read_bytes()
            key_file.write_bytes(old)
            await work.ended.wait()
            await asyncio.sleep(0.1)  # five looks
            assert not work.begun.is_set()
            key_file.write_bytes(new)
            await work.begun.wait()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# commands


def command(database_url: str, key: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `tidegate manager` with this file of keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    given = {"TIDEGATE_DATABASE_URL": database_url, "TIDEGATE_SIGNING_KEY": str(key), "TIDEGATE_DATA": str(key.parent)}
    program = [sys.executable, "-m", "tidegate", "manager", *words]
    env = kept | given | {"TIDEGATE_LISTEN": "127.0.0.1:0"}
    return subprocess.run(program, env=env, capture_output=True, text=True, timeout=60, check=False)


def rotated_beside_a_copy(database_url: str, folder: Path) -> tuple[Path, Path]:
    """The file of the newest key, and a copy from before it."""
    path, copy = folder / "signing.key", folder / "copy.key"
    make_key_file(path)
    copy.write_bytes(path.read_bytes())
    assert command(database_url, path, "rotate-key").returncode == 0
    return path, copy


@pytest.mark.parametrize("word", ["serve", "rotate-key"])
def test_with_an_older_key_it_does_not_start_and_makes_no_other(database_url: str, tmp_path: Path, word: str) -> None:
    path, copy = rotated_beside_a_copy(database_url, tmp_path)
    before = copy.read_bytes()
    told = command(database_url, copy, word)
    assert told.returncode == 1, told.stderr
    facts = str(copy), read_keys(copy).public, read_keys(path).public, "adopt-key"
    assert all(one in told.stderr for one in facts)
    assert copy.read_bytes() == before


async def test_a_key_is_adopted_where_the_newest_is_lost(db: Database, database_url: str, tmp_path: Path) -> None:
    path, copy = rotated_beside_a_copy(database_url, tmp_path)
    lost = read_keys(path).public
    told = command(database_url, copy, "adopt-key")
    assert (told.returncode, read_keys(copy).public in told.stdout) == (0, True), told.stderr
    assert (await claimed(db, copy)).public == read_keys(copy).public
    with pytest.raises(KeyBehindError):
        await claimed(db, path)
    assert (await rows(db, "audit", "action", "before"))[-1] == ("key.adopt", {"public_key": lost})
