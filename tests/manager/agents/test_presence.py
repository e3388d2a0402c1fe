"""Who is there, who is gone, and who is cut off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta

import aiohttp
import pytest
from sqlalchemy import select
from tests.support.bare_agent import NEW, BareAgent, inventory, target
from tests.support.planted import LATER, alter, count, kinds, plant_agent, plant_rollout, rows
from tests.support.real_manager import ANN, RealManager

from tidegate.manager.agents import presence, revocation
from tidegate.manager.agents.presence import Heard, Silence
from tidegate.manager.parts import now as clock
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import agents

MINUTE = timedelta(minutes=1)


@pytest.fixture
def db(manager: RealManager) -> Database:
    return manager.parts.db


async def tell(db: Database, now: datetime, *, tell_gone: bool = True) -> list[str]:
    """Who came and went, in words, as seen at this time."""
    before = len(await kinds(db))
    async with db.write() as conn:
        await presence.tell_who_came_and_went(conn, Silence(now, now - 3 * MINUTE, tell_gone))
    return [f"{row.kind} {row.subject}" for row in (await rows(db, "feed"))[before:]]


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await true():
            await asyncio.sleep(0.02)


async def test_a_poll_is_a_sign_of_life_that_is_written_down_soon(db: Database, agent: BareAgent) -> None:
    assert await rows(db, "agents", "last_seen_at") == [None]
    began = clock()
    await agent.poll()

    async def is_heard() -> bool:
        return None not in await rows(db, "agents", "last_seen_at")

    await until(is_heard)
    [(at, version, protocol, address)] = await rows(db, "agents", "last_seen_at", "version", "protocol", "address")
    assert began <= at <= clock()
    assert (version, protocol, address) == ("1.0", 1, "127.0.0.1")


async def test_thousands_are_written_down_together(db: Database) -> None:
    now = clock()
    ids = [await plant_agent(db, now, f"a{number}") for number in range(5)]
    heard = {id_: Heard(now + MINUTE, "2.0", 0, "192.0.2.7") for id_ in ids[:4]} | {"f" * 32: Heard(now, "", 1, "")}
    async with db.write() as conn:
        await presence.note_heard(conn, heard)
    assert (await rows(db, "agents", "version")).count("2.0") == 4
    assert (await rows(db, "agents", "last_seen_at")).count(now + MINUTE) == 4


async def test_what_is_written_down_late_takes_the_place_of_nothing_newer(db: Database) -> None:
    now = clock()
    id_ = await plant_agent(db, now, "berlin1")
    for at, version in ((now + MINUTE, "2.0"), (now, "1.0")):  # by two replicas
        async with db.write() as conn:
            assert await presence.note_heard(conn, {id_: Heard(at, version, 1, f"192.0.2.{version[0]}")}) == {id_}
    assert await rows(db, "agents", "last_seen_at", "version", "address") == [(now + MINUTE, "2.0", "192.0.2.2")]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_is_heard_while_somebody_holds_its_row_is_written_down_afterwards(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    async def is_heard() -> bool:
        return None not in await rows(db, "agents", "last_seen_at")

    async with db.write() as conn:
        await conn.execute(select(agents.c.id).with_for_update())
        await agent.poll()
        await manager.link.flush()
        assert not await is_heard()
    await manager.link.flush()
    await until(is_heard)  # the manager may be at it by itself


async def test_coming_and_going_is_told_once(db: Database) -> None:
    now = clock()
    await plant_agent(db, now, "berlin1", last_seen_at=now)
    assert await tell(db, now + MINUTE) == ["agent.online agent berlin1"]
    assert await tell(db, now + 2 * MINUTE) == []
    assert await tell(db, now + 4 * MINUTE, tell_gone=False) == []
    assert await tell(db, now + 4 * MINUTE) == ["agent.offline agent berlin1"]
    assert await tell(db, now + 9 * MINUTE) == []


async def test_several_who_look_at_once_tell_it_once(db: Database) -> None:
    now = clock()
    for number in range(20):
        await plant_agent(db, now, f"berlin{number}", last_seen_at=now)
    await asyncio.gather(*(tell(db, now) for _ in range(6)))
    assert (await kinds(db)).count("agent.online") == 20


@pytest.mark.parametrize("progress", ["waiting", "offered", "updating", "busy", "offline", "healthy"])
async def test_rollouts_that_are_not_done_with_a_target_are_decided_anew_when_its_agent_returns(
    db: Database, agent: BareAgent, progress: str
) -> None:
    await agent.events(1, inventory(target()))
    now = clock()
    await plant_rollout(db, now, progress=progress, state="completed")
    await alter(db, "rollouts", wake_at=None)
    await alter(db, "agents", last_seen_at=now)
    await tell(db, now)
    assert await rows(db, "rollouts", "wake_at") == [None if progress == "healthy" else now]


async def test_an_agent_that_nobody_could_hear_is_not_told_as_gone(manager: RealManager, db: Database) -> None:
    now = clock()
    await plant_agent(db, now, "berlin1", last_seen_at=now - timedelta(hours=1), online=True)
    await manager.link.check()  # it has only just begun
    assert "agent.offline" not in await kinds(db)


async def test_an_agent_that_could_not_be_noted_is_not_told_as_gone(
    manager: RealManager, db: Database, agent: BareAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = timedelta(hours=1)
    await plant_agent(db, clock() - hour, "paris1", last_seen_at=clock() - hour, online=True)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(manager.link, "_began", clock() - hour)
        meanwhile.setattr(db, "write", away)
        await agent.poll()
        with pytest.raises(StoreUnavailableError):
            await manager.link.flush()
        began = manager.link._began
    monkeypatch.setattr(manager.link, "_began", began)
    await manager.link.check()
    assert "agent.offline" not in await kinds(db)


@contextlib.asynccontextmanager
async def away() -> AsyncIterator[None]:
    """What a database answers that is not there."""
    raise StoreUnavailableError("it is away")
    yield


async def test_revoking_ends_the_held_poll_and_all_that_was_on_its_way(
    manager: RealManager, db: Database, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target()))
    await plant_rollout(db, clock())
    held = asyncio.create_task(agent.ask(wait_s=50))

    async def is_held() -> bool:
        return len(manager.link.held) == 1

    await until(is_held)
    async with db.write() as conn:
        assert await revocation.revoke(conn, agent.id, ANN, clock())
    async with asyncio.timeout(40):
        refused = await held
    assert (refused.status, refused.code) == (403, "revoked")
    assert "enrol it anew" in refused.body["detail"]
    assert LATER not in await rows(db, "rollouts", "wake_at")
    async with db.write() as conn:
        assert not await revocation.revoke(conn, agent.id, ANN, clock())
    assert (await rows(db, "audit", "actor", "action"))[-1] == ("ann", "agent.revoke")
    assert (await kinds(db)).count("agent.revoked") == 1


async def test_what_is_sent_to_who_is_revoked_is_dropped(manager: RealManager, db: Database, agent: BareAgent) -> None:
    await manager.assign(agent.id, "shop/web", NEW)
    await manager.revoke(agent.id)
    await manager.assign(agent.id, "shop/web", NEW, generation=2)
    assert await count(db, "outbox") == 0


async def test_a_revocation_that_nobody_told_of_is_found(manager: RealManager, db: Database, agent: BareAgent) -> None:
    await agent.poll()
    await alter(db, "agents", revoked_at=clock())
    await manager.link._known.look()
    assert (await agent.ask()).code == "revoked"


async def test_who_is_revoked_before_it_was_ever_heard_is_refused(
    manager: RealManager, db: Database, session: aiohttp.ClientSession
) -> None:
    agent = await BareAgent.enrolled(manager, session, "paris1")
    await alter(db, "agents", revoked_at=clock())
    assert (await agent.events(1, inventory())).code == "revoked"
    assert await count(db, "targets") == 0
