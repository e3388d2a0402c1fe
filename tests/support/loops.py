"""The end of an event loop: whoever it was still connected with is let go, so that no connection is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import threading

_TURNS = 3
"""What is closed takes a turn to be gone, what was accepted takes two to be attached."""


async def accept_no_more(listening: socket.socket) -> None:
    """Accept nothing more at this socket; what was accepted is attached to its server, which can close it then.

    asyncio loses a connection that it has accepted and not yet attached when the server is closed.
    """
    if listening.fileno() >= 0:
        asyncio.get_running_loop().remove_reader(listening.fileno())
    await _turns()


async def let_go() -> None:
    """Close every connection of this loop, whoever's it is: a server may give up those that are slow to end."""
    for transport in list(getattr(asyncio.get_running_loop(), "_transports", {}).values()):
        transport.abort()
    await _turns()


def end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    """End a loop that runs in a thread, with its tasks and connections."""
    asyncio.run_coroutine_threadsafe(_ended(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _ended() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await let_go()


async def _turns() -> None:
    for _turn in range(_TURNS):
        await asyncio.sleep(0)
