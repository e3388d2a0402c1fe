"""Waiting for an event, but not for ever."""

import asyncio

import pytest

from tidegate.agent.within import within


async def test_an_event_that_comes_in_time_is_told_from_one_that_does_not() -> None:
    event = asyncio.Event()
    assert not await within(event, 0.001)
    event.set()
    assert await within(event, 60)


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_told_to_stop_as_the_event_comes_stops(turns: int) -> None:
    event = asyncio.Event()
    waiting = asyncio.create_task(within(event, 60))
    await asyncio.sleep(0)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    told = waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled() is told
