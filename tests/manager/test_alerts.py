"""Alerts are opened and closed by what is in the database, once, whoever looks."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update
from structlog.testing import capture_logs
from tests.support.alerting import Time, acknowledge, alerts, told
from tests.support.fleet_rows import NOON, Fleet, add, change, digest

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.alert import Rule, Thresholds
from tidegate.manager.telling.alerts import Alerter
from tidegate.manager.telling.feed import tell
from tidegate.protocol.events import UPDATER_TROUBLE

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


async def test_all_is_well_with_a_fleet_that_is(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    await fleet.add_rollout("completed", ended_at=NOON)
    await alerter.look()
    assert await alerts(db) == []


@pytest.mark.parametrize(("state", "level"), [("paused", "error"), ("running", "warning")])
async def test_what_somebody_should_look_at_now_is_an_error_in_the_log(
    fleet: Fleet, alerter: Alerter, state: str, level: str
) -> None:
    rollout = await fleet.add_rollout(state)
    if state == "running":
        await fleet.assign(rollout, 1, "failed")
    with capture_logs() as logs:
        await alerter.look()
    assert [one["log_level"] for one in logs if one["event"] == "alert"] == [level]


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
        "a later update of it went well, it runs that release all the same, or it is gone or revoked"
    ]
    assert await told(db) == [
        (one.id, "webhook a", "opened"),
        (one.id, "mail b", "opened"),
        (one.id, "webhook a", "closed"),
        (one.id, "mail b", "closed"),
    ]


@pytest.mark.parametrize("how", ["gone", "revoked"])
async def test_a_failure_is_no_alert_any_more_where_nothing_is_heard_of_its_target(
    db: Database, fleet: Fleet, alerter: Alerter, how: str
) -> None:
    await fleet.assign(await fleet.add_rollout("running"), 1, "failed")
    await alerter.look()
    assert len(await alerts(db)) == 1
    if how == "gone":
        await change(db, schema.targets, fleet.target, gone_at=NOON)
    else:
        await change(db, schema.agents, "a1", revoked_at=NOON)
    await alerter.look()
    assert await alerts(db) == []


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


async def test_who_has_left_the_channel_whose_release_it_refused_is_no_alert(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    rollout = await fleet.add_rollout("running")
    await fleet.assign(rollout, 1, "refused")
    await alerter.look()
    assert [one.rule for one in await alerts(db)] == ["update_failed"]
    await change(db, schema.targets, fleet.target, channel_id=None)
    await alerter.look()
    assert await alerts(db) == []
    await change(db, schema.assignments, f"{fleet.target}-1", outcome="failed")
    await alerter.look()
    assert [one.rule for one in await alerts(db)] == ["update_failed"]


async def test_who_is_monitored_only_and_has_refused_an_update_is_no_alert_but_a_way_back_is(
    db: Database, fleet: Fleet, alerter: Alerter
) -> None:
    await fleet.assign(await fleet.add_rollout("running"), 1, "refused")
    await change(db, schema.targets, fleet.target, held=True)
    await alerter.look()
    assert await alerts(db) == []
    await change(db, schema.assignments, f"{fleet.target}-1", back=True)
    await alerter.look()
    assert [one.rule for one in await alerts(db)] == ["update_failed"]


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
    (second,) = await alerts(db)
    await fleet.assign(rollout, 3, "failed")
    await alerter.look()
    assert [what for _, sink, what in await told(db) if sink == "mail b"] == ["opened", "closed", "opened", "opened"]
    assert [one.data for one in await alerts(db)] == [{"cause": f"{fleet.target}-3", "replaces": second.id}]


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
        f"then `tidegate rollout retry {rollout}` while that one goes on, or acknowledge this."
    )


@pytest.mark.parametrize("state", ["rolling_back", "rolled_back", "completed", "cancelled"])
async def test_nobody_is_told_to_retry_a_rollout_that_cannot_be(
    db: Database, fleet: Fleet, alerter: Alerter, state: str
) -> None:
    await fleet.assign(await fleet.add_rollout(state, reason="aborted by ann"), 1, "failed")
    await alerter.look()
    (text,) = [one.text for one in await alerts(db) if one.rule == Rule.UPDATE_FAILED]
    assert "retry" not in text
    assert f"Rollout 1 is {state.replace('_', ' ')}" in text
    assert "`tidegate rollout start ghcr.io/acme/web:1 sha256:bbbbbbbbbbbb`" in text


@pytest.mark.parametrize(
    "rollout", [{"state": "rolled_back"}, {"state": "cancelled", "reason": "not approved within 7 d"}]
)
async def test_who_is_told_to_send_a_release_out_anew_is_told_to_release_it_from_quarantine_first(
    db: Database, fleet: Fleet, alerter: Alerter, rollout: dict[str, str]
) -> None:
    await _quarantined(fleet)
    number = await fleet.add_rollout(**rollout, ended_at=NOON)
    if rollout["state"] == "rolled_back":
        await fleet.assign(number, 1, "failed")
    await alerter.look()
    texts = [one.text for one in await alerts(db) if "rollout start" in one.text]
    start = "`tidegate rollout start ghcr.io/acme/web:1 sha256:bbbbbbbbbbbb` sends this release out anew"
    assert [f"first `tidegate quarantine release 1` (an admin), then {start}" in one for one in texts] == [True]


@pytest.mark.parametrize("reason", ["not approved within 168h", "it was not over within 720h"])
async def test_a_rollout_that_has_expired_is_told_until_one_has_completed(
    db: Database, fleet: Fleet, alerter: Alerter, reason: str
) -> None:
    await fleet.add_rollout("cancelled", reason="rejected by ann", ended_at=NOON)
    rollout = await fleet.add_rollout("cancelled", reason=reason, ended_at=NOON)
    await alerter.look()
    (one,) = await alerts(db)
    assert (one.rule, one.subject, one.severity) == ("rollout_expired", f"rollout {rollout}", "warning")
    assert reason in one.text
    assert "`tidegate rollout start ghcr.io/acme/web:1 sha256:bbbbbbbbbbbb`" in one.text
    await fleet.add_rollout("completed", ended_at=NOON)
    await alerter.look()
    assert await alerts(db) == []


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
    (worse,), (before,) = await alerts(db), await alerts(db, open_=False)
    assert (before.close_reason, worse.data["replaces"]) == ("not every target was put back", before.id)
    assert {(id_, what) for id_, _, what in await told(db)} == {(before.id, "opened"), (worse.id, "opened")}


async def test_a_pause_is_an_alert_unless_a_person_asked_for_it(db: Database, fleet: Fleet, alerter: Alerter) -> None:
    rollout = await fleet.add_rollout("paused", reason="shop@berlin1/web: it exited with code 1")
    await fleet.add_rollout("paused", reason="paused by ann: lunch")
    await alerter.look()
    assert [one.subject for one in await alerts(db)] == [f"rollout {rollout}"]
    await change(db, schema.rollouts, rollout, state="running")
    await alerter.look()
    assert await alerts(db) == []


async def test_a_release_that_takes_the_place_of_one_that_waits_is_not_told_anew_but_named(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    first = await fleet.add_rollout("awaiting_approval", whole=True, policy={"approvals": 1})
    time.now += 240 * MINUTE
    await change(db, schema.agents, "a1", last_seen_at=time.now)
    await alerter.look()
    (before,) = await alerts(db)
    assert f"`tidegate rollout approve {first}`" in before.text
    await change(db, schema.rollouts, first, state="superseded", ended_at=time.now)
    second = await fleet.add_rollout("awaiting_approval", whole=True, created_at=time.now)
    await alerter.look()
    (after,) = await alerts(db)
    assert after.id == before.id
    assert f"`tidegate rollout approve {second}`" in after.text
    assert [what for _, _, what in await told(db)] == ["opened", "opened"]


async def test_of_two_that_wait_on_a_channel_the_newer_is_named(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    newer = [await fleet.add_rollout("awaiting_approval", whole=True) for _ in range(2)][-1]
    time.now += 240 * MINUTE
    await change(db, schema.agents, "a1", last_seen_at=time.now)
    await alerter.look()
    (one,) = await alerts(db)
    assert f"`tidegate rollout approve {newer}`" in one.text


async def test_what_waits_for_some_targets_only_is_told_beside_its_channel(
    db: Database, fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    for whole in (True, False):
        await fleet.add_rollout("awaiting_approval", whole=whole)
    time.now += 240 * MINUTE
    await change(db, schema.agents, "a1", last_seen_at=time.now)
    await alerter.look()
    assert [one.subject for one in await alerts(db)] == ["channel ghcr.io/acme/web:1", "rollout 2"]


async def _drift(fleet: Fleet) -> None:
    await change(fleet.db, schema.targets, fleet.target, drift_since=NOON, wanted=digest("c"))


async def _waits(fleet: Fleet) -> None:
    await fleet.add_rollout("awaiting_approval", whole=True)


async def _unreachable(fleet: Fleet) -> None:
    await change(fleet.db, schema.channels, fleet.channel, failures=5, trouble="401 Unauthorized")


async def _updater(fleet: Fleet, reason: str = f"{UPDATER_TROUBLE}Watchtower cannot be reached") -> None:
    await change(fleet.db, schema.targets, fleet.target, reason=reason)


async def _quarantined(fleet: Fleet) -> None:
    async with fleet.db.write() as conn:
        await add(conn, schema.quarantine, digest=digest("b"), by="tidegate", at=NOON, reason="it exited")


CASES = {
    Rule.DRIFT: (_drift, 10, "warning", "shop@berlin1/web"),
    Rule.APPROVAL_WAITING: (_waits, 240, "info", "channel ghcr.io/acme/web:1"),
    Rule.CHANNEL_UNREACHABLE: (_unreachable, 0, "warning", "channel ghcr.io/acme/web:1"),
    Rule.UPDATER_TROUBLE: (_updater, 0, "warning", "agent berlin1"),
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


async def test_trouble_of_an_updater_is_told_with_its_words_once_for_all_targets_and_is_over_when_they_are_gone(
    fleet: Fleet, alerter: Alerter, time: Time
) -> None:
    async with fleet.db.write() as conn:
        await fleet.add_target(conn, "db")
        await conn.execute(update(schema.targets).values(reason=f"{UPDATER_TROUBLE}Watchtower counts 2 failed"))
    await alerter.look()
    (one,) = await alerts(fleet.db)
    assert ("Watchtower counts 2 failed" in one.text, UPDATER_TROUBLE in one.text) == (True, False)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.targets).values(reason="it is pinned to this release"))
    for _ in range(2):
        await alerter.look()
        time.now += 5 * MINUTE
    assert [row.rule for row in await alerts(fleet.db, open_=False)] == [Rule.UPDATER_TROUBLE]


@pytest.mark.parametrize("runs", [digest("a"), ""])
async def test_who_is_told_of_drift_is_told_how_to_have_it_stay_if_that_is_known_and_how_to_put_it_back(
    fleet: Fleet, alerter: Alerter, time: Time, runs: str
) -> None:
    await _drift(fleet)
    await change(fleet.db, schema.targets, fleet.target, digest=runs)
    time.now += 10 * MINUTE
    await change(fleet.db, schema.agents, "a1", last_seen_at=time.now)
    await alerter.look()
    (text,) = [one.text for one in await alerts(fleet.db)]
    back = f"`tidegate rollback shop@berlin1/web --to {digest('c')[:19]}` puts it back."
    stay = f"If that is to stay, `tidegate rollback shop@berlin1/web --to {runs}` says so, and moves nothing; if not, "
    assert text.endswith(f"by hand. {stay if runs else ''}{back}")


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
        async with asyncio.timeout(40):
            await opened.wait()
    task.cancel()
    await asyncio.wait([task])
    assert [one.rule for one in await alerts(db)] == ["rollout_paused"]
