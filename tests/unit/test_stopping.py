"""What has begun is brought to rest before a cancellation goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tidegate.agent.guard import Guard
from tidegate.agent.racing import race
from tidegate.agent.stopping import Errands, ToldToStop, brought_to_rest


class Work:
    """Goes on until it is told to stop, and then takes a few turns to come to rest."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.begun = asyncio.Event()
        self.at_rest = False

    async def run(self) -> None:
        self.begun.set()
        await self.stop.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        self.at_rest = True


async def cancelled(work: Awaitable[object]) -> bool:
    try:
        await work
    except asyncio.CancelledError:
        return True
    return False


@pytest.mark.parametrize("times", [1, 3])
async def test_what_was_begun_is_at_rest_when_the_cancellation_is_raised(times: int) -> None:
    work = Work()
    task = asyncio.ensure_future(brought_to_rest(work.run(), work.stop))
    await work.begun.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    assert await cancelled(task)
    assert work.at_rest


async def test_what_is_not_told_to_stop_comes_to_its_end() -> None:
    async def answer() -> int:
        return 42

    assert await brought_to_rest(answer(), asyncio.Event()) == 42


async def test_an_errand_ends_at_rest_with_the_agent() -> None:
    work, errands = Work(), Errands()
    errand = asyncio.ensure_future(errands.run(brought_to_rest(work.run(), work.stop)))
    await work.begun.wait()
    await errands.end()
    assert work.at_rest
    assert await cancelled(errand)


async def test_an_errand_that_comes_when_the_agent_ends_is_not_begun() -> None:
    work, errands = Work(), Errands()
    await errands.end()
    work.stop.set()
    assert await cancelled(errands.run(work.run()))
    assert not work.begun.is_set()


def guard() -> Guard:
    return Guard(("", "", ""), "container", "")


async def test_a_step_that_takes_long_is_left_when_the_agent_is_told_to_stop() -> None:
    stop = asyncio.Event()
    stop.set()
    with pytest.raises(ToldToStop):
        await race(asyncio.Event().wait(), guard(), stop)  # type: ignore[arg-type]


async def test_a_step_that_nothing_stops_is_waited_for() -> None:
    work = Work()
    work.stop.set()
    await race(work.run(), guard())
    assert work.at_rest
