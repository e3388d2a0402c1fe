"""Work that ends early: because somebody else acted, or because the agent was told to stop."""

import asyncio
from collections.abc import Awaitable, Sequence

from tidegate.agent.guard import Guard
from tidegate.agent.stopping import ToldToStop


async def race(work: Awaitable[None], guard: Guard, stop: asyncio.Event | None = None) -> None:
    """Do the work unless somebody acts first, or `stop` is set. Raises `Interfered`, `ToldToStop`."""
    task: asyncio.Future[None] = asyncio.ensure_future(work)
    watches = [asyncio.ensure_future(guard.wait())]
    if stop is not None:
        watches.append(asyncio.ensure_future(_set(stop)))
    try:
        await asyncio.wait({task, *watches}, return_when=asyncio.FIRST_COMPLETED)
        guard.check()
        if stop is not None and stop.is_set() and not task.done():
            raise ToldToStop
        await task
    finally:
        await end_all([task, *watches])


async def end_all(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel what still runs and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
