"""Agents that are silent: told once, and not where it was the manager that did not hear them."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from tests.support.alerting import Time, acknowledge, alerts, told
from tests.support.fleet_rows import NOON, Fleet, change

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alerts import Alerter

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def fleet(db: Database) -> Fleet:
    return await Fleet(db).made()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def alerter(db: Database, time: Time) -> Alerter:
    return Alerter(db, time, ["webhook a", "mail b"], Thresholds())


async def test_a_silent_agent_is_an_alert_until_it_was_heard_for_a_while(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    del fleet
    time.now += 9 * MINUTE
    await alerter.look()
    assert await alerts(db) == []
    time.now += MINUTE
    await alerter.look()
    (one,) = await alerts(db)
    assert (one.rule, one.subject) == ("target_offline", "agent berlin1")
    assert "was not heard since 2026-11-25 12:00 UTC, and its target" in one.text
    assert "`tidegate`; in the autonomy cluster `watchtower`, or `agent` beside Watchtower" in one.text
    await change(db, schema.agents, "a1", last_seen_at=time.now)
    await alerter.look()
    time.now += 4 * MINUTE
    await alerter.look()
    assert len(await alerts(db)) == 1
    time.now += MINUTE
    await alerter.look()
    assert await alerts(db) == []


async def test_an_agent_is_not_silent_because_the_manager_did_not_run(db: Database, fleet: Fleet, time: Time) -> None:
    del fleet
    time.now += timedelta(days=1)
    alerter = Alerter(db, time)
    await alerter.look()
    assert await alerts(db) == []
    time.now += 10 * MINUTE
    await alerter.look()
    assert len(await alerts(db)) == 1


@contextlib.asynccontextmanager
async def away() -> AsyncIterator[Any]:
    """What a database answers that is not there."""
    raise StoreUnavailableError("it is away")
    yield


async def test_who_could_not_be_noted_while_the_database_was_away_is_not_silent(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fleet
    time.now += 10 * MINUTE
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(db, "read", away)
        with pytest.raises(StoreUnavailableError):
            await alerter.look()
    await alerter.look()
    assert await alerts(db) == []
    time.now += 10 * MINUTE
    await alerter.look()
    assert [one.subject for one in await alerts(db)] == ["agent berlin1"]


async def test_who_could_not_be_noted_while_nothing_could_be_written_is_not_silent(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    time.now += 10 * MINUTE
    with pytest.raises(StoreUnavailableError):
        async with db.write():
            raise StoreUnavailableError("it is locked")
    await alerter.look()
    assert await alerts(db) == []
    await change(db, schema.targets, fleet.target, health="healthy")  # something is written before who was heard is
    time.now += MINUTE
    await alerter.look()
    assert await alerts(db) == []
    time.now += 10 * MINUTE
    await alerter.look()
    assert [one.subject for one in await alerts(db)] == ["agent berlin1"]


async def test_who_is_known_to_be_silent_is_not_told_as_heard_when_the_manager_starts_anew(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    del fleet
    time.now += 10 * MINUTE
    await alerter.look()
    again = Alerter(db, time, ["webhook a", "mail b"])
    for _ in range(12):
        await again.look()
        time.now += MINUTE
    assert [what for _, _, what in await told(db)] == ["opened", "opened"]
    assert [one.data for one in await alerts(db)] == [{}]
    await change(db, schema.agents, "a1", last_seen_at=time.now)
    for _ in range(6):
        await again.look()
        time.now += MINUTE
    assert await alerts(db) == []


async def add_agents(db: Database, numbers: range) -> None:
    row = {"public_key": "k", "labels": {}, "enrolled_at": NOON, "last_seen_at": NOON}
    async with db.write() as conn:
        for number in numbers:
            await conn.execute(insert(schema.agents).values(id=f"n{number}", name=f"n{number:02}", **row))


async def test_many_are_told_once_and_whoever_comes_later_by_itself(
    db: Database, fleet: Fleet, time: Time, alerter: Alerter
) -> None:
    del fleet
    await change(db, schema.agents, "a1", revoked_at=NOON)
    await add_agents(db, range(21))
    time.now += 10 * MINUTE
    await alerter.look()
    await add_agents(db, range(21, 22))
    await change(db, schema.agents, "n0", last_seen_at=time.now + timedelta(days=1))  # one is back
    again = Alerter(db, time, ["webhook a"])
    for _ in range(11):
        await again.look()
        time.now += MINUTE
    assert [one.subject for one in await alerts(db)] == ["many", "agent n21"]
    assert await alerts(db, open_=False) == []
    for number in range(1, 21):
        await change(db, schema.agents, f"n{number}", last_seen_at=time.now)
    for _ in range(6):
        await again.look()
        time.now += MINUTE
    assert [one.subject for one in await alerts(db)] == ["agent n21"]
    assert [one.close_reason for one in await alerts(db, open_=False)] == ["it is online again, or was revoked"]


async def test_who_acknowledges_many_leaves_those_open_that_were_told_by_themselves(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    rollout = await fleet.add_rollout("running")

    async def fail(numbers: range) -> None:
        for number in numbers:
            async with db.write() as conn:
                target = await fleet.add_target(conn, f"s{number}")
            await fleet.assign(rollout, 1, "failed", target=target)
        await alerter.look()

    await fail(range(3))
    await fail(range(3, 24))
    await acknowledge(db, (await alerts(db))[-1].id, NOON + MINUTE)
    for _ in range(2):
        await alerter.look()
        assert [one.subject for one in await alerts(db)] == [f"shop@berlin1/s{number}" for number in range(3)]
    await fail(range(24, 25))
    assert [one.subject for one in await alerts(db)][3:] == ["shop@berlin1/s24"]
    assert [one.close_reason for one in await alerts(db, open_=False)] == ["acknowledged by ann"]


async def test_an_agent_that_was_revoked_is_not_missed(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    del fleet
    await change(db, schema.agents, "a1", revoked_at=NOON)
    time.now += timedelta(days=1)
    await alerter.look()
    assert await alerts(db) == []
