"""A person who says that what was put there by hand is to run there ends the drift: nothing has to move for that."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.support.manager_fleet import ANN, BOB, OLD, ManagerFleet

from tidegate.domain.rollout import Kind
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.agents.drift import tell_drift
from tidegate.manager.rollouts import rollback
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

POLICY: dict[str, object] = {"waves": list[str](), "soak": "0s", "healthy_for": "0s"}
HAND = "shop@host0/web"


@pytest.fixture
async def fleet(db: Database) -> ManagerFleet:
    """Two hosts that were brought NEW, of which the first was taken back to OLD on its host since."""
    fleet = await ManagerFleet(db).settle(2, policy=POLICY)
    await fleet.start()
    await fleet.all(Outcome.HEALTHY)
    async with db.write() as conn:
        await conn.execute(update(schema.targets).where(schema.targets.c.name == HAND).values(digest=OLD))
    assert await drifted(fleet) == {HAND}
    return fleet


async def drifted(fleet: ManagerFleet) -> set[str]:
    async with fleet.db.write() as conn:
        await tell_drift(conn, fleet.now)
        found = await conn.execute(select(schema.targets.c.name).where(schema.targets.c.drift_since.is_not(None)))
        return set(found.scalars())


async def _rolled_out(fleet: ManagerFleet) -> None:
    await fleet.start(OLD)


async def _rolled_out_there(fleet: ManagerFleet) -> None:
    await fleet.start(OLD, targets={fleet.targets[HAND]})


async def _rolled_back_there(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        plan = await rollback.of_target(conn, fleet.targets[HAND], OLD)
        await rollback.go_back(conn, plan, ANN, fleet.now)


async def _channel_back_to(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await rollback.channel_back(conn, fleet.channel, OLD, ANN, fleet.now)


async def _channel_back(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await rollback.channel_back(conn, fleet.channel, None, ANN, fleet.now)


SAID: dict[str, Callable[[ManagerFleet], Awaitable[None]]] = {
    "rollout start": _rolled_out,
    "rollout start --target": _rolled_out_there,
    "rollback TARGET --to": _rolled_back_there,
    "rollback CHANNEL --to": _channel_back_to,
    "rollback CHANNEL": _channel_back,
}


@pytest.mark.parametrize("said", SAID)
async def test_who_says_that_it_is_to_run_there_ends_the_drift(fleet: ManagerFleet, said: str) -> None:
    await SAID[said](fleet)
    assert await drifted(fleet) == set()


async def test_a_rollout_that_nobody_has_approved_yet_ends_no_drift(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(policy=POLICY | {"mode": "approval"}))
    rollout = await fleet.start(OLD)
    assert await drifted(fleet) == {HAND}
    await fleet.order(rollout, "approve", BOB)
    assert await drifted(fleet) == set()


async def test_a_rollout_whose_approval_has_expired_ends_no_drift(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.channels).values(policy=POLICY | {"mode": "approval"}))
    rollout = await fleet.start(OLD)
    await fleet.go(timedelta(days=8))
    assert await fleet.state(rollout) == "cancelled"
    assert await drifted(fleet) == {HAND}


async def test_a_dry_run_ends_no_drift(fleet: ManagerFleet) -> None:
    async with fleet.db.write() as conn, conn.begin_nested() as point:
        await rollback.channel_back(conn, fleet.channel, OLD, ANN, fleet.now)
        await point.rollback()
    assert await drifted(fleet) == {HAND}


async def test_a_rollback_of_another_target_ends_no_drift(fleet: ManagerFleet) -> None:
    await fleet.start(OLD, kind=Kind.ROLLBACK, targets={fleet.targets["shop@host1/web"]})
    assert await drifted(fleet) == {HAND}
