"""Waiting for an event, but not for ever."""

import asyncio


async def within(event: asyncio.Event, limit_s: float) -> bool:
    """Wait for an event; whether it came in time.

    Not `asyncio.wait_for`: before Python 3.12 that swallows a cancellation that comes together with the event, and
    an agent that was told to stop would go on.
    """
    try:
        async with asyncio.timeout(limit_s):
            return await event.wait()
    except TimeoutError:
        return False
