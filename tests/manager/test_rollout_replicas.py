"""Two replicas at rollouts of one channel that turn round: nobody stays on a bad release, and none waits for ever."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.support.manager_fleet import BOB, NEW, NEWER, OLD, ManagerFleet

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.rollouts import rollback, step, verbs
from tidegate.manager.rollouts.rows import save
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.rollouts.verbs import Order
from tidegate.manager.store.database import Database

POLICY: dict[str, object] = {"waves": [], "soak": "5m", "healthy_for": "0s", "on_failure": "rollback"}
MEANWHILE_S = 0.3
"""For another replica to come as far as it can."""


@pytest.fixture
def fleet(db: Database) -> ManagerFleet:
    return ManagerFleet(db)


async def out(fleet: ManagerFleet) -> tuple[int, Assignment]:
    """Have NEW run on three hosts, and come to host3: the rollout, and what was assigned there."""
    await fleet.settle(4, policy=POLICY)
    for digest in (NEW, NEWER):
        fleet.now += timedelta(seconds=1)
        await fleet.release(digest)
    rollout = await fleet.start(NEW)
    *others, last = sorted(fleet.offered(), key=lambda one: one.agent)
    await fleet.report(last, Outcome.BEGUN)
    for one in others:
        await fleet.report(one, Outcome.HEALTHY)
    await fleet.decide()
    return rollout, last


async def both_about_to_turn(fleet: ManagerFleet) -> tuple[int, int]:
    """Have NEW run on three hosts, and NEWER on host0; both have failed elsewhere since, which nobody has taken in."""
    whole, last = await out(fleet)
    some = await fleet.start(NEWER, targets={fleet.targets[f"shop@{host}/web"] for host in ("host0", "host1")})
    newer = {one.agent: one for one in fleet.offered()}
    await fleet.report(newer["host0"], Outcome.HEALTHY)
    await fleet.report(newer["host1"], Outcome.BEGUN)
    await fleet.decide()
    await fleet.report(last, Outcome.FAILED)
    await fleet.report(newer["host1"], Outcome.FAILED)
    return whole, some


async def all_went_back(fleet: ManagerFleet, *rollouts: int) -> None:
    """See that everybody comes to run what ran before both."""
    for _ in range(6):
        for one in fleet.offered():
            await fleet.report(one, Outcome.HEALTHY)
        await fleet.go(timedelta(minutes=6))
    assert await fleet.running() == {f"host{number}": OLD for number in range(4)}
    assert [await fleet.state(one) for one in rollouts] == ["rolled_back"] * len(rollouts)


class Writes:
    """Counts how often each rollout is to be written; before one's first time something else is done."""

    def __init__(self, patch: pytest.MonkeyPatch, id_: int, meanwhile: Callable[[], Awaitable[Any]]) -> None:
        write, self.of = Steps._write, list[int]()

        async def counted(steps: Steps, it: Any) -> bool:
            self.of.append(int(it.loaded.rollout.id))
            if self.of == [id_]:
                await meanwhile()
            return await write(steps, it)

        patch.setattr(Steps, "_write", counted)


@pytest.mark.parametrize("slow", ["the whole", "some"])
async def test_who_decides_while_another_rollout_turns_round_decides_once_more(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    whole, some = await both_about_to_turn(fleet)
    first, last = (some, whole) if slow == "the whole" else (whole, some)
    writes = Writes(monkeypatch, last, lambda: fleet.steps.take(first))
    await fleet.steps.take(last)
    assert writes.of == [last, first, last]
    await all_went_back(fleet, whole, some)


async def test_who_decides_while_a_person_turns_another_rollout_round_decides_once_more(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, some = await both_about_to_turn(fleet)
    put_down, others = Steps._put_down, list[asyncio.Task[Any]]()

    async def slowly(steps: Steps, *arguments: Any) -> Any:
        if not others:
            others.append(asyncio.create_task(fleet.steps.take(whole)))
            await asyncio.sleep(MEANWHILE_S)
        return await put_down(steps, *arguments)

    monkeypatch.setattr(Steps, "_put_down", slowly)
    async with fleet.db.write() as conn:
        await verbs.carry_out(conn, some, Order("rollback", BOB), fleet.now)
        await fleet.steps.take_within(conn, some)
    await others[0]
    await all_went_back(fleet, whole, some)


async def test_of_two_rollouts_that_turn_round_at_once_neither_waits_for_the_other(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, some = await both_about_to_turn(fleet)

    async def slowly(*arguments: Any, **more: Any) -> bool:
        while len(set(writes.of)) < 2:  # both have decided by then
            await asyncio.sleep(0.01)
        return await save(*arguments, **more)

    monkeypatch.setattr(step, "save", slowly)
    writes = Writes(monkeypatch, 0, asyncio.Event().wait)
    await asyncio.gather(fleet.steps.take(whole), fleet.steps.take(some))
    assert len(writes.of) == 3  # who comes second decides once more
    await all_went_back(fleet, whole, some)


async def by_the_rollout(fleet: ManagerFleet, id_: int) -> None:
    async with fleet.db.write() as conn:
        await rollback.rollout_back(conn, id_, None, Order("rollback", BOB), fleet.now)


async def by_the_channel(fleet: ManagerFleet, id_: int) -> None:
    del id_
    async with fleet.db.write() as conn:
        await rollback.channel_back(conn, fleet.channel, None, BOB, fleet.now)


async def by_the_verb(fleet: ManagerFleet, id_: int) -> None:
    async with fleet.db.write() as conn:
        await verbs.carry_out(conn, id_, Order("rollback", BOB), fleet.now)


@pytest.mark.parametrize("turn", [by_the_rollout, by_the_channel, by_the_verb])
async def test_a_person_turns_a_rollout_round_while_it_is_decided_and_neither_waits_for_the_other(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch, turn: Callable[[ManagerFleet, int], Awaitable[None]]
) -> None:
    rollout, last = await out(fleet)
    others = list[asyncio.Task[Any]]()

    async def slowly(*arguments: Any, **more: Any) -> bool:
        others.append(asyncio.create_task(fleet.steps.take(rollout)))
        await asyncio.sleep(MEANWHILE_S)
        return await save(*arguments, **more)

    monkeypatch.setattr(verbs, "save", slowly)
    await turn(fleet, rollout)
    await asyncio.gather(*others)
    await fleet.report(last, Outcome.HEALTHY)
    await fleet.decide()
    await all_went_back(fleet, rollout)


async def test_a_failure_that_comes_with_what_a_person_does_turns_a_rollout_round_and_neither_waits_for_the_other(
    fleet: ManagerFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is decided without the failure, a person pauses it when that was told, and the one waits for its row."""
    rollout, last = await out(fleet)
    has_it = asyncio.Event()

    async def pause() -> None:
        await fleet.report(last, Outcome.FAILED)
        async with fleet.db.write() as conn:
            await verbs.carry_out(conn, rollout, Order("pause", BOB), fleet.now)
            has_it.set()
            await asyncio.sleep(MEANWHILE_S)
            await fleet.steps.take_within(conn, rollout)

    person = list[asyncio.Task[None]]()

    async def meanwhile() -> None:
        person.append(asyncio.create_task(pause()))
        await has_it.wait()

    Writes(monkeypatch, rollout, meanwhile)
    await fleet.steps.take(rollout)
    await person[0]
    await all_went_back(fleet, rollout)
