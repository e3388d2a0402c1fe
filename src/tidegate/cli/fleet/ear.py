"""Listening to the manager's stream, to know when it is time to look again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import FleetError
from tidegate.cli.fleet.sse import FeedEvent

_LOOK_S: Final = 2.0
_LOOK_BESIDE_STREAM_S: Final = 15.0
_STREAM_AGAIN_S: Final = 5.0
_PATIENCE_S: Final = 300.0
_GATHER_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look, with the manager's stream and without, and how long to wait for one that is away."""

    look_s: float = _LOOK_S
    look_beside_stream_s: float = _LOOK_BESIDE_STREAM_S
    stream_again_s: float = _STREAM_AGAIN_S
    patience_s: float = _PATIENCE_S


USUAL: Final = Pace()


class Ear:
    """Listens to kinds of events (how they begin, by commas), and says when it is time to look again.

    `concerns` tells which of them are a reason to; without one all are.
    """

    def __init__(
        self, manager: Manager, kinds: str, pace: Pace, concerns: Callable[[FeedEvent], bool] = lambda _: True
    ) -> None:
        self._manager = manager
        self._kinds = kinds
        self._pace = pace
        self._concerns = concerns
        self._told = asyncio.Event()
        self._streaming = False

    async def heard(self) -> None:
        """Wait until something was told, or it is time to look without."""
        wait_s = self._pace.look_beside_stream_s if self._streaming else self._pace.look_s
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._told.wait()
                await asyncio.sleep(_GATHER_S)  # what is told at once is looked at once
        self._told.clear()

    def wake(self) -> None:
        """It is time to look."""
        self._told.set()

    async def listen(self) -> None:
        """Keep the stream open, from where it broke off; without one, looking is enough."""
        last = ""
        while True:
            try:
                async for event in self._events(last):
                    last = event.id or last
                    if event.data and self._concerns(event):
                        self._told.set()
            except FleetError:
                pass
            self._streaming = False
            self._told.set()
            await asyncio.sleep(self._pace.stream_again_s)

    async def _events(self, last: str) -> AsyncIterator[FeedEvent]:
        async for event in self._manager.events(last=last, kinds=self._kinds):
            self._streaming = True
            yield event
