"""Work that goes on beside everything else."""

from __future__ import annotations

import asyncio

import pytest

from tidegate.agent.background import Background


async def test_it_is_begun_once_and_ends_when_it_is_closed() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    background = Background("test")
    assert (background.start(work), background.start(work)) == (True, False)
    await asyncio.sleep(0)
    await background.close()
    assert ended == ["ended"]
    assert background.start(work)
    await background.close()


async def test_a_fault_that_it_ended_by_is_told_when_it_is_closed() -> None:
    async def work() -> None:
        raise RuntimeError("it fell")

    background = Background("test")
    background.start(work)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="it fell"):
        await background.close()
