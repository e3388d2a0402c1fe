"""Windows, freezes and holds, as rollouts go by them on a real database."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from tests.support.manager_fleet import NEW, T0, ManagerFleet, tell

from tidegate.cli.manager import work
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.agents.wakes import wake
from tidegate.manager.rollouts.anew import rules_changed
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.signed import Withdraw


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def test_a_freeze_holds_a_rollout_until_it_ends(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    async with fleet.db.write() as conn:
        freeze = {"name": "f", "starts_at": T0, "ends_at": T0 + timedelta(hours=1), "created_at": T0}
        await conn.execute(insert(schema.freezes).values(freeze))
    rollout = await fleet.start()
    assert (fleet.offered(), await fleet.state(rollout)) == ([], "scheduled")
    await fleet.go(timedelta(hours=1))
    assert len(fleet.offered()) == 1


async def test_a_freeze_takes_back_what_has_not_begun_and_it_is_offered_again_after_it(fleet: ManagerFleet) -> None:
    await fleet.settle(1)
    rollout = await fleet.start()
    (one,) = fleet.offered()
    await fleet.report(one, Outcome.BUSY)
    await fleet.go()
    async with fleet.db.write() as conn:
        freeze = {"name": "f", "starts_at": T0, "ends_at": T0 + timedelta(hours=2), "created_at": T0}
        await conn.execute(insert(schema.freezes).values(freeze))
        await rules_changed(conn, fleet.now)
    await fleet.go()
    assert [(type(it), it.generation) for it in fleet.sent.documents] == [(Withdraw, one.generation)]
    await fleet.report(one, Outcome.WITHDRAWN)
    await fleet.go()
    assert await fleet.count(schema.assignments, schema.assignments.c.open) == 0
    await fleet.go(timedelta(hours=2))
    assert ([it.digest for it in fleet.offered()], await fleet.state(rollout)) == ([NEW], "running")


async def test_who_is_busy_when_its_window_closes_does_not_begin_afterwards(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"windows": ["0 12 * * * 1h UTC"]})
    await fleet.start()
    (one,) = fleet.offered()
    fleet.now += timedelta(minutes=5)
    await fleet.report(one, Outcome.BUSY)
    await fleet.go()
    await fleet.go(timedelta(minutes=54))
    assert fleet.sent.documents == []
    await fleet.go(timedelta(minutes=1))
    assert [(type(it), it.generation) for it in fleet.sent.documents] == [(Withdraw, one.generation)]


async def test_who_catches_up_after_the_end_does_not_begin_once_its_window_has_closed(fleet: ManagerFleet) -> None:
    policy = {"windows": ["0 12 * * * 1h UTC"], "waves": [], "soak": "0s", "healthy_for": "0s"}
    await fleet.settle(2, policy=policy)
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.id == "host1").values(online=False))
    rollout = await fleet.start()
    (one,) = fleet.offered()
    await fleet.report(one, Outcome.HEALTHY)
    fleet.now += timedelta(minutes=10)
    await fleet.decide()
    assert await fleet.state(rollout) == "completed"
    fleet.now += timedelta(minutes=45)
    await fleet.go()
    async with fleet.db.write() as conn:
        await wake(conn, [rollout], fleet.now)
    await fleet.go()
    (one,) = fleet.offered()
    await fleet.report(one, Outcome.BUSY)
    await fleet.go()
    await fleet.go(timedelta(minutes=5))
    assert [(type(it), it.generation) for it in fleet.sent.documents] == [(Withdraw, one.generation)]


async def test_a_manager_that_was_put_on_hold_begins_nothing(
    fleet: ManagerFleet, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fleet.settle(3, policy={"soak": "0s", "healthy_for": "0s", "parallel": 1})
    await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    (offer,) = fleet.offered()
    monkeypatch.setattr(work, "now", lambda: fleet.now)
    settings = load_manager_settings({"TIDEGATE_DATABASE_URL": database_url, "TIDEGATE_DATA": str(tmp_path)})
    for _ in range(2):
        await work.hold(settings)
    await fleet.go()
    assert fleet.sent.documents == [Withdraw(offer.agent, offer.target, offer.generation, fleet.now)]
    await fleet.report(offer, Outcome.HEALTHY)  # it had begun
    await fleet.go(timedelta(days=2))
    assert fleet.offered() == []


async def test_a_window_for_other_clusters_holds_nobody_here(fleet: ManagerFleet) -> None:
    await fleet.settle(0)
    await fleet.join("early", labels={"ring": "early"})
    async with fleet.db.write() as conn:
        window = {"name": "w", "window": "0 3 * * * 1h UTC", "scope": {"labels": {"ring": "late"}}, "created_at": T0}
        await conn.execute(insert(schema.windows).values(window))
    await fleet.start()
    assert len(fleet.offered()) == 1


async def test_who_is_busy_does_not_begin_after_its_window_though_the_manager_is_away(fleet: ManagerFleet) -> None:
    await fleet.settle(1, policy={"windows": ["0 12 * * * 1h UTC"]})
    rollout = await fleet.start()
    (one,) = fleet.offered()
    assert one.expires_at == T0 + timedelta(hours=1)
    await fleet.report(one, Outcome.BUSY)
    fleet.now += timedelta(hours=2)
    await tell(fleet, one, outcome=Outcome.REFUSED)
    assert (await fleet.rollout(rollout)).targets["shop@host0/web"].progress == "waiting"
    await fleet.go(timedelta(hours=22))
    assert ([it.digest for it in fleet.offered()], await fleet.state(rollout)) == ([NEW], "running")
