"""Being told to stop: what has begun is brought to rest before the agent ends."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

_REST_WITHIN_S = 300.0
"""What takes longer is left to the next start, which reads the journal."""
_log = structlog.get_logger(__name__)

T = TypeVar("T")


class ToldToStop(Exception):  # noqa: N818 - a turn of events, not an error
    """The agent was told to stop; what is under way goes no further than to where it is at rest."""

    def __init__(self) -> None:
        super().__init__("the agent was told to stop")


async def brought_to_rest(work: Coroutine[Any, Any, T], stop: asyncio.Event) -> T:
    """Do the work. Where this is cancelled, `stop` is set, and the work has come to rest before that is raised."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            stop.set()
            await _ended({task}, _REST_WITHIN_S)
        _tell(task)
        raise


class Errands:
    """Work that somebody asked a running agent for; it ends with the agent, brought to rest."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()
        self._ended = False

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work; cancelled where the agent ends, and not begun where it has."""
        if self._ended:
            work.close()
            raise asyncio.CancelledError
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await task

    async def end(self) -> None:
        """Cancel what is under way, and return when it has ended."""
        self._ended, tasks = True, set(self._tasks)
        for task in tasks:
            task.cancel()
        await _ended(tasks, 2 * _REST_WITHIN_S)


async def _ended(tasks: set[asyncio.Future[Any]], limit_s: float) -> None:
    """Wait until all have ended, however often this is cancelled; after the limit they are cancelled themselves."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + limit_s
    while (pending := {task for task in tasks if not task.done()}) and clock() < deadline:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pending, timeout=deadline - clock())
    for task in pending:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _tell(task: asyncio.Future[Any]) -> None:
    """What was not brought to its end is said; the journal has it."""
    if task.cancelled():
        _log.warning("the agent was told to stop and an update did not come to rest in time; its next start ends it")
    elif isinstance(error := task.exception(), ToldToStop):
        _log.warning("the agent was told to stop amid an update; its next start ends it")
    elif error is not None:
        _log.error("an update could not be brought to rest; the agent's next start ends it", reason=str(error))
