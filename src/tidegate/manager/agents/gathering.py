"""Doing together what is asked for at the same time: one query, or one transaction, for many who wait."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class FullError(Exception):
    """More is waiting than is let in."""


class Gathering(Generic[Asked, Got]):
    """Hands what is asked for to `work`, at most `most` at once; it returns as many results, in order.

    A result that is an exception is raised to who asked for that one; one that `work` raises, to all of its turn.
    `wait_s` is for how long the first one waits for others. More than `room` waiting are refused (`FullError`).
    """

    def __init__(
        self,
        work: Callable[[Sequence[Asked]], Awaitable[Sequence[Got | Exception]]],
        *,
        wait_s: float,
        most: int,
        room: int = 100_000,
    ) -> None:
        self._work = work
        self._wait_s = wait_s
        self._most = most
        self._room = room
        self._waiting: list[tuple[Asked, asyncio.Future[Got]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, it: Asked) -> Got:
        """Ask for one, and wait for it."""
        if len(self._waiting) >= self._room:
            raise FullError
        future: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        self._waiting.append((it, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._turns(), name="gathering")
        return await future

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _turns(self) -> None:
        await asyncio.sleep(self._wait_s)
        while self._waiting:
            some, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            some = [(it, future) for it, future in some if not future.done()]  # who asked may have gone
            if some:
                await self._turn(some)

    async def _turn(self, some: Sequence[tuple[Asked, asyncio.Future[Got]]]) -> None:
        try:
            results = await self._work([it for it, _ in some])
        except asyncio.CancelledError:
            for _, future in some:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - it is who asked that it is raised to
            results = [error] * len(some)
        for (_, future), result in zip(some, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
