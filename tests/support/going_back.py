"""A channel whose releases go out and are taken back, as tests arrange it with a `ManagerFleet`."""

from datetime import timedelta
from typing import Any

from sqlalchemy import update
from tests.support.manager_fleet import ANN, NEW, ManagerFleet

from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts import rollback
from tidegate.manager.rollouts.verbs import Order
from tidegate.manager.store import schema

AT_ONCE = {"waves": [], "soak": "0s", "healthy_for": "0s"}
V0 = f"sha256:{'0' * 64}"


async def back(fleet: ManagerFleet, host: str = "", *, to: str | None = None) -> rollback.Back:
    """Have the channel go back, or one host's target; and decide what follows."""
    async with fleet.db.write() as conn:
        if host:
            plan = await rollback.of_target(conn, fleet.targets[f"shop@{host}/web"], to)
            went = await rollback.go_back(conn, plan, ANN, fleet.now)
        else:
            went = await rollback.channel_back(conn, fleet.channel, to, ANN, fleet.now)
    await fleet.decide()
    return went


def ways(went: rollback.Back) -> dict[str, str]:
    """By names of targets, where they go."""
    return {one.name: one.to for one in went.going}


async def taken(fleet: ManagerFleet) -> None:
    """Have agents do what they are offered now."""
    for one in fleet.offered():
        await fleet.report(one, Outcome.HEALTHY)
    await fleet.decide()


async def done(fleet: ManagerFleet) -> None:
    """Have agents do all that they are offered, until there is no more."""
    for _ in range(4):
        await taken(fleet)
        await fleet.go(timedelta(minutes=6))


async def out(fleet: ManagerFleet, digest: str = NEW, **policy: Any) -> int:
    """Have a release go out to two hosts that ran OLD, to its end."""
    await fleet.settle(2, policy=AT_ONCE | policy)
    made = await fleet.start(digest)
    await done(fleet)
    assert await fleet.state(made) == "completed"
    return made


async def away(fleet: ManagerFleet, host: str, *, online: bool = False) -> None:
    """Have a host go, or come back."""
    async with fleet.db.write() as conn:
        await conn.execute(update(schema.agents).where(schema.agents.c.id == host).values(online=online))
        await conn.execute(update(schema.rollouts).values(wake_at=fleet.now))
    await fleet.decide()


async def out_but_for(fleet: ManagerFleet, host: str) -> int:
    """Have NEW go out to three hosts, one of which is not there."""
    await fleet.settle(3, policy=AT_ONCE)
    await away(fleet, host)
    made = await fleet.start()
    for one in fleet.offered():
        await fleet.report(one, Outcome.HEALTHY)
    fleet.now += timedelta(minutes=11)
    await fleet.decide()
    assert await fleet.state(made) == "completed"
    assert (await fleet.rollout(made)).targets[f"shop@{host}/web"].progress == "offline"
    return made


async def undo(fleet: ManagerFleet, made: int, *, to: str | None = None, edition: int | None = None) -> rollback.Back:
    """Have one rollout taken back; and decide what follows."""
    async with fleet.db.write() as conn:
        went = await rollback.rollout_back(conn, made, to, Order("rollback", ANN, edition=edition), fleet.now)
    await fleet.decide()
    assert went is not None
    return went
