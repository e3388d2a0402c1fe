"""Alerts are opened and closed by what is in the database, once, whoever looks."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.support.fleet_rows import NOON, Fleet, add, change, digest

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.alert import Rule, Thresholds
from tidegate.manager.telling.alerts import Alerter
from tidegate.manager.telling.feed import tell

MINUTE = timedelta(minutes=1)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def fleet(db: Database) -> Fleet:
    return await Fleet(db).made()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def alerter(db: Database, time: Time) -> Alerter:
    return Alerter(db, time, ["webhook a", "mail b"], Thresholds())


async def alerts(db: Database, *, open_: bool = True) -> list[Any]:
    where = schema.alerts.c.closed_at.is_(None) if open_ else schema.alerts.c.closed_at.is_not(None)
    async with db.read() as conn:
        return list((await conn.execute(select(schema.alerts).where(where).order_by(schema.alerts.c.id))).all())


async def told(db: Database) -> list[tuple[int, str, str]]:
    async with db.read() as conn:
        rows = await conn.execute(select(schema.deliveries).order_by(schema.deliveries.c.id))
        return [(row.alert_id, row.sink, row.what) for row in rows]


async def acknowledge(db: Database, alert: int, at: datetime = NOON) -> None:
    await change(db, schema.alerts, alert, acknowledged_at=at, acknowledged_by="ann")


async def test_all_is_well_with_a_fleet_that_is(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    await fleet.add_rollout("completed", ended_at=NOON)
    await alerter.look()
    assert await alerts(db) == []


async def test_an_update_that_failed_is_an_alert_until_the_target_has_been_updated(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    rollout = await fleet.add_rollout("running")
    await fleet.assign(rollout, 1, "failed")
    await alerter.look()
    (one,) = await alerts(db)
    assert (one.rule, one.subject, one.severity) == ("update_failed", "shop@berlin1/web", "warning")
    await fleet.assign(rollout, 2)  # it is tried again
    await alerter.look()
    assert len(await alerts(db)) == 1
    await change(db, schema.assignments, f"{fleet.target}-2", outcome="healthy")
    await alerter.look()
    assert [row.close_reason for row in await alerts(db, open_=False)] == [
        "it runs what it was last told to, and is healthy"
    ]
    assert await told(db) == [
        (one.id, "webhook a", "opened"),
        (one.id, "mail b", "opened"),
        (one.id, "webhook a", "closed"),
        (one.id, "mail b", "closed"),
    ]


async def test_a_failed_target_that_runs_the_release_after_all_and_is_healthy_is_no_alert(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    await fleet.assign(await fleet.add_rollout("running"), 1, "failed")
    await change(db, schema.targets, fleet.target, digest=digest("b"))
    await alerter.look()
    assert await alerts(db) == []
    await change(db, schema.targets, fleet.target, health="unhealthy")
    await alerter.look()
    assert len(await alerts(db)) == 1


async def test_a_failure_that_was_acknowledged_stays_away_and_the_next_one_does_not(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    rollout = await fleet.add_rollout("running")
    await fleet.assign(rollout, 1, "failed")
    await alerter.look()
    await acknowledge(db, (await alerts(db))[0].id)
    await alerter.look()
    await alerter.look()
    assert await alerts(db) == []
    await fleet.assign(rollout, 2, "inconclusive")
    await alerter.look()
    await fleet.assign(rollout, 3, "failed")
    await alerter.look()
    assert [what for _, sink, what in await told(db) if sink == "mail b"] == ["opened", "closed", "opened", "opened"]
    assert [one.data for one in await alerts(db)] == [{"cause": f"{fleet.target}-3"}]


async def test_the_reason_and_the_version_are_in_the_words(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    rollout = await fleet.add_rollout("running")
    await fleet.assign(rollout, 1, "failed")
    row = {"rollout_id": rollout, "target_id": fleet.target, "target": "shop@berlin1/web", "progress": "failed"}
    seen = {"channel_id": fleet.channel, "digest": digest("b"), "seen_at": NOON, "named_at": NOON}
    async with db.write() as conn:
        why = "its health check\n fails: 500."
        await conn.execute(insert(schema.rollout_targets).values(**row, generation=1, reason=why))
        await add(conn, schema.releases, **seen, version="1.4.2", labels={}, configs={})
    await alerter.look()
    assert (await alerts(db))[0].text == (
        "shop@berlin1/web: the update to 1.4.2 (sha256:bbbbbbbbbbbb) failed at 2026-11-25 12:00 UTC: its health check "
        "fails: 500. `tidegate targets show shop@berlin1/web` tells what runs there now; mend what the reason names, "
        f"then `tidegate rollout retry {rollout}`, or acknowledge this."
    )


async def test_a_rollback_is_an_alert_until_a_later_rollout_has_completed(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    rollout = await fleet.add_rollout("rolling_back", back_since=NOON)
    await alerter.look()
    await change(db, schema.rollouts, rollout, state="rolled_back", ended_at=NOON)
    await alerter.look()
    assert [(one.rule, one.subject) for one in await alerts(db)] == [("rolled_back", f"rollout {rollout}")]
    later = await fleet.add_rollout("running")
    await alerter.look()
    assert len(await alerts(db)) == 1
    await change(db, schema.rollouts, later, state="completed", ended_at=NOON)
    await alerter.look()
    assert await alerts(db) == []


async def test_a_rollback_that_left_somebody_behind_is_worse(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    rollout = await fleet.add_rollout("rolling_back", back_since=NOON)
    await alerter.look()
    await change(db, schema.rollouts, rollout, state="failed", ended_at=NOON)
    await alerter.look()
    assert [(one.rule, one.severity) for one in await alerts(db)] == [("rollout_failed", "critical")]


async def test_a_pause_is_an_alert_unless_a_person_asked_for_it(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    rollout = await fleet.add_rollout("paused", reason="shop@berlin1/web: it exited with code 1")
    await fleet.add_rollout("paused", reason="paused by ann: lunch")
    await alerter.look()
    assert [one.subject for one in await alerts(db)] == [f"rollout {rollout}"]
    await change(db, schema.rollouts, rollout, state="running")
    await alerter.look()
    assert await alerts(db) == []


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


async def _drift(fleet: Fleet) -> None:
    await change(fleet.db, schema.targets, fleet.target, drift_since=NOON, wanted=digest("c"))


async def _waits(fleet: Fleet) -> None:
    await fleet.add_rollout("awaiting_approval")


async def _unreachable(fleet: Fleet) -> None:
    await change(fleet.db, schema.channels, fleet.channel, failures=5, trouble="401 Unauthorized")


async def _quarantined(fleet: Fleet) -> None:
    async with fleet.db.write() as conn:
        await add(conn, schema.quarantine, digest=digest("b"), by="tidegate", at=NOON, reason="it exited")


CASES = {
    Rule.DRIFT: (_drift, 10, "warning", "shop@berlin1/web"),
    Rule.APPROVAL_WAITING: (_waits, 240, "info", "rollout 1"),
    Rule.CHANNEL_UNREACHABLE: (_unreachable, 0, "warning", "channel ghcr.io/acme/web:1"),
    Rule.DIGEST_QUARANTINED: (_quarantined, 0, "warning", f"digest {digest('b')}"),
}


@pytest.mark.parametrize("rule", CASES)
async def test_each_rule_waits_for_its_time_and_then_tells(
    fleet: Fleet, alerter: Alerter, time: Time, rule: Rule
) -> None:
    happen, minutes, severity, subject = CASES[rule]
    await happen(fleet)
    for passed in sorted({max(minutes - 1, 0), minutes}):
        time.now = NOON + passed * MINUTE
        await change(fleet.db, schema.agents, "a1", last_seen_at=time.now)
        await alerter.look()
        wanted = [(rule, subject, severity)] if passed == minutes else []
        assert [(one.rule, one.subject, one.severity) for one in await alerts(fleet.db)] == wanted


NOBODY_THERE: dict[str, tuple[Any, int | str, dict[str, Any]]] = {
    "its agent was revoked": (schema.agents, "a1", {"revoked_at": NOON}),
    "it is gone": (schema.targets, 1, {"gone_at": NOON}),
    "it follows another channel": (schema.targets, 1, {"channel_id": None}),
}


@pytest.mark.parametrize("why", NOBODY_THERE)
async def test_a_channel_is_missed_only_while_a_target_follows_it(
    fleet: Fleet, alerter: Alerter, time: Time, why: str
) -> None:
    await _unreachable(fleet)
    await alerter.look()
    assert len(await alerts(fleet.db)) == 1
    table, id_, values = NOBODY_THERE[why]
    await change(fleet.db, table, id_, **values)
    for _ in range(2):
        await alerter.look()
        time.now += 5 * MINUTE
    assert await alerts(fleet.db) == []


async def test_the_drift_of_an_agent_that_was_revoked_is_over(fleet: Fleet, alerter: Alerter, time: Time) -> None:
    await _drift(fleet)
    time.now += 10 * MINUTE
    await change(fleet.db, schema.agents, "a1", last_seen_at=time.now)
    await alerter.look()
    assert [one.rule for one in await alerts(fleet.db)] == [Rule.DRIFT]
    await change(fleet.db, schema.agents, "a1", revoked_at=time.now)
    for _ in range(2):
        await alerter.look()
        time.now += 5 * MINUTE
    assert await alerts(fleet.db) == []


async def refuse(db: Database, reason: str) -> None:
    async with db.write() as conn:
        await tell(conn, "agent.refused", "agent berlin1", NOON, target="shop/web", reason=reason)


async def test_what_an_agent_refuses_is_told_until_somebody_has_understood_it(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    del fleet
    await alerter.look()
    await refuse(db, "the signature is not the manager's")
    await alerter.look()
    await refuse(db, "it expired")
    await alerter.look()
    (one,) = await alerts(db)
    assert (one.rule, one.severity) == ("assignment_refused", "critical")
    assert "agent berlin1 refused an order for shop/web at 2026-11-25 12:00 UTC: it expired." in one.text
    await refuse(db, "it expired")  # in the same words
    await alerter.look()
    await acknowledge(db, one.id)
    for _ in range(2):
        await alerter.look()
        assert await alerts(db) == []
    await refuse(db, "once more")
    await alerter.look()
    assert len(await alerts(db)) == 1
    assert [what for _, _, what in await told(db)] == ["opened", "opened", "closed", "closed", "opened", "opened"]


async def test_what_was_refused_before_the_first_look_is_not_looked_at(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    del fleet
    await refuse(db, "long ago")
    await alerter.look()
    await alerter.look()
    assert await alerts(db) == []


async def test_several_replicas_open_and_close_each_alert_once(db: Database, fleet: Fleet, time: Time) -> None:
    rollout = await fleet.add_rollout("paused")
    await fleet.assign(rollout, 1, "failed")
    replicas = [Alerter(db, time, ["one"]) for _ in range(6)]
    await asyncio.gather(*(one.look() for one in replicas))
    assert await told(db) == [(1, "one", "opened"), (2, "one", "opened")]
    async with db.write() as conn:
        await conn.execute(update(schema.rollouts).values(state="completed"))
    await asyncio.gather(*(one.look() for one in replicas))
    assert [entry for entry in await told(db) if entry[2] == "closed"] == [(2, "one", "closed")]


async def test_a_replica_that_looked_before_another_one_changed_anything_writes_nothing(
    db: Database, fleet: Fleet, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout = await fleet.add_rollout("paused")
    slow, quick = Alerter(db, time, ["one"]), Alerter(db, time, ["one"])
    write = slow._write
    meanwhile = [1]

    async def late(*args: Any) -> bool:
        if meanwhile:
            meanwhile.clear()
            await quick.look()
            await change(db, schema.rollouts, rollout, state="running")
            await quick.look()
        return await write(*args)

    monkeypatch.setattr(slow, "_write", late)
    await slow.look()
    assert [what for _, _, what in await told(db)] == ["opened", "closed"]
    assert await alerts(db) == []


async def test_it_is_woken_by_what_the_feed_tells(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    task = asyncio.create_task(alerter.run())
    opened = asyncio.Event()
    with db.bus.listening("deliveries", lambda _keys: opened.set()):
        await fleet.add_rollout("paused")
        async with db.write() as conn:
            await tell(conn, "rollout.state", "rollout 1", NOON)
        async with asyncio.timeout(10):
            await opened.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [one.rule for one in await alerts(db)] == ["rollout_paused"]
