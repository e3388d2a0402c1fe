"""Work that goes on beside everything else, from `start` to `close`."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any


class Background:
    """One task, begun at most once at a time."""

    def __init__(self, name: str) -> None:
        """`name` is the task's, for who looks at a stuck agent."""
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """Begin the work, unless it has begun already; whether this has."""
        if self._task is not None:
            return False
        self._task = asyncio.create_task(work(), name=self._name)
        return True

    async def close(self) -> None:
        """Cancel it, and return when it has ended; a fault that it ended by is raised."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
