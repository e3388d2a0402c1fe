"""Turns to write that two processes share: one has them, and lends them to the other in their order."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType

from tidegate.manager.store.database import Turn
from tidegate.manager.worker.line import ASK, OVER, YOURS, Line

LONGEST_S = 60.0
"""A turn; who writes ten thousand rows has done it in a few."""


class Lender:
    """The side that has the turns: to it the other process is one more who waits.

    `stalled` is called where a turn is not given back in time: it has to end the other process.
    """

    def __init__(self, turn: Turn, line: Line, stalled: Callable[[], None], longest_s: float) -> None:
        self._turn, self._line, self._stalled, self._longest_s = turn, line, stalled, longest_s
        self._lent: dict[int, asyncio.Task[None]] = {}

    def ask(self, number: int) -> None:
        """The other asks for a turn."""
        self._lent[number] = asyncio.create_task(self._lend(number), name="a turn that is lent")

    def over(self, number: int) -> None:
        """It is done with it, or does not want it any more."""
        self._lent.pop(number).cancel()

    async def close(self) -> None:
        """The other is gone."""
        for task in self._lent.values():
            task.cancel()
        await asyncio.gather(*self._lent.values(), return_exceptions=True)

    async def _lend(self, number: int) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            async with self._turn:
                self._line.say(YOURS, number)
                await asyncio.sleep(self._longest_s)
                self._stalled()
                await asyncio.get_running_loop().create_future()  # until it is gone


class Borrower:
    """The other side, to be used as the lock itself is."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._mine = asyncio.Lock()
        self._number = 0
        self._come = asyncio.Event()

    async def __aenter__(self) -> None:
        await self._mine.acquire()
        self._number += 1
        self._come.clear()
        try:
            self._line.say(ASK, self._number)
            await self._come.wait()
        except BaseException:
            self._give_back()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._give_back()

    def yours(self, number: int) -> None:
        """A turn has come; one that is not wanted any more has been given back."""
        if number == self._number:
            self._come.set()

    def _give_back(self) -> None:
        try:
            self._line.say(OVER, self._number)
        finally:
            self._mine.release()
