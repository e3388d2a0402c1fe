"""The manager is killed in the middle of a rollout, at any moment: it goes on after a start, and nothing is doubled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Sequence

import pytest
from tests.manager.faults.conftest import Gather, Manager
from tests.support import killed_manager
from tests.support.manager_program import SERVE, ManagerProgram
from tests.support.simulated_agents import OLD, Say, Script
from tests.support.simulated_fleet import AT_ONCE, SimulatedFleet

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout import State
from tidegate.domain.rollout_apply import Outcome

GOOD, BAD = (f"sha256:{digit * 64}" for digit in "ab")
WAVES = {**AT_ONCE, "waves": [1, "25%", "50%"]}
SEEDS = 12
SURE = 5
"""So many times at least a rollout comes to each point."""
POINTS = [
    f"{moment}:{name}"
    for moment in ("before", "after")
    for name in (
        "Planner.plan@1",
        "Steps._write@1",
        "Steps._write@2",
        "Steps._write@5",
        "Steps._write@9",
        "Intake._apply@1",
        "Intake._apply@4",
        "Intake._apply@12",
        "AgentLink.flush@1",
        "AgentLink.flush@2",
        "AgentLink._wake_rollouts@1",
        "AgentLink._wake_rollouts@3",
        "LettingIn.__call__@1",
    )
]


def script(rng: random.Random, longest_s: float) -> Script:
    """Each takes its time. The bad release fails at a few of the third wave, after others have it."""

    def things(agent: str, it: Assignment) -> Sequence[Say]:
        begun = Say(rng.uniform(0, longest_s), Outcome.BEGUN)
        fails = it.digest == BAD and not it.back and int(agent.removeprefix("host")) % 7 == 6
        after_s = rng.uniform(0, longest_s)
        return begun, Say(after_s, Outcome.FAILED, "it is unhealthy", blame=True) if fails else Say(
            after_s, Outcome.HEALTHY
        )

    return things


async def kill_and_start(manager: ManagerProgram, rng: random.Random, times: int) -> None:
    """Kill it that many times: while it works, and now and then while it starts."""
    for _ in range(times):
        if rng.random() < 0.8:
            await manager.ready()
        await asyncio.sleep(rng.uniform(0, 1.2))
        manager.kill()
        manager.start()


async def killed_at(point: str, one: ManagerProgram, fleet: SimulatedFleet, digest: str) -> None:
    """Wait until it is killed there; where so much is told at once that it is over before a late point, then."""
    dying, ending = asyncio.create_task(one.ended()), asyncio.create_task(fleet.ended(digest))
    done, _ = await asyncio.wait({dying, ending}, return_when=asyncio.FIRST_COMPLETED)
    if dying not in done:
        ending.result()
        assert int(point.rpartition("@")[2]) > SURE, f"{point} was not come to"
        os.kill(one.pid, signal.SIGKILL)
    ending.cancel()
    assert await dying == -signal.SIGKILL, one.said()


async def right_end(fleet: SimulatedFleet, digest: str) -> None:
    """A good release is everywhere, a bad one nowhere; and nothing was lost, doubled or left."""
    state = await fleet.ended(digest)
    assert (state, fleet.run()) == ((State.COMPLETED, {GOOD}) if digest == GOOD else (State.ROLLED_BACK, {OLD}))
    assert await fleet.faults() == []


async def through_kills(manager: Manager, gather: Gather, digest: str, seed: int, times: int) -> None:
    rng = random.Random(seed)
    one = manager()
    one.start()
    await one.ready()
    fleet = await gather([one], script=script(rng, 0.4), policy=WAVES)
    await fleet.join()
    fleet.sight(digest)
    await kill_and_start(one, rng, times)
    await right_end(fleet, digest)


async def test_a_bad_release_is_rolled_back_though_the_manager_is_killed_again_and_again(
    manager: Manager, gather: Gather
) -> None:
    await through_kills(manager, gather, BAD, seed=7, times=2)


@pytest.mark.long
@pytest.mark.timeout(600)  # five starts on a busy machine take longer than most tests
@pytest.mark.parametrize("digest", [GOOD, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_rollout_comes_to_its_right_end_whenever_the_manager_is_killed(
    manager: Manager, gather: Gather, digest: str, seed: int
) -> None:
    await through_kills(manager, gather, digest, seed, times=5)


@pytest.mark.long
@pytest.mark.parametrize("digest", [GOOD, BAD], ids=["good", "bad"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_kill_between_any_two_transactions_loses_and_doubles_nothing(
    manager: Manager, gather: Gather, digest: str, point: str
) -> None:
    one = manager()
    one.start(killed_manager.words(point))
    await one.ready()
    fleet = await gather([one], script=script(random.Random(point), 0.1), policy=WAVES)

    async def begin() -> None:
        await fleet.join()
        fleet.sight(digest)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(begin())
        await killed_at(point, one, fleet, digest)
        one.start(SERVE)
    await right_end(fleet, digest)


@pytest.mark.parametrize(
    "point",
    [
        "before:Steps._write@2",
        "after:Planner.plan@1",
        *(
            pytest.param(point, marks=pytest.mark.long)
            for point in POINTS
            if ("Steps" in point or "Planner" in point) and int(point.rpartition("@")[2]) <= SURE
        ),
    ],
)
async def test_where_the_worker_alone_is_killed_another_goes_on(manager: Manager, gather: Gather, point: str) -> None:
    one = manager()
    one.start(killed_manager.words(point, alone=True))
    await one.ready()
    fleet = await gather([one], script=script(random.Random(point), 0.1), policy=WAVES)
    await fleet.join()
    fleet.sight(BAD)
    await right_end(fleet, BAD)
    assert one.log.read_text().count("the worker has ended (killed by SIGKILL)") == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("digest", [GOOD, pytest.param(BAD, marks=pytest.mark.long)], ids=["good", "bad"])
async def test_one_of_two_replicas_is_killed_and_the_other_goes_on(
    manager: Manager, gather: Gather, digest: str
) -> None:
    both = [manager(), manager()]
    for one in both:
        one.start()
        await one.ready()
    fleet = await gather(both, script=script(random.Random(3), 0.2), policy=WAVES)
    await fleet.join()
    fleet.sight(digest)
    with contextlib.suppress(TimeoutError):
        await fleet.until(lambda: _has_begun(fleet), 20)
    both[0].kill()
    await right_end(fleet, digest)


async def _has_begun(fleet: SimulatedFleet) -> bool:
    return len(fleet.world.record.got) >= 3
