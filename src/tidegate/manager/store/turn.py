"""Taking turns over several event loops: first come, first served."""

import asyncio
import threading
from collections import deque
from types import TracebackType

_Waiting = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Turn:
    """A lock that tasks of different event loops, each in a thread of its own, may wait for: `async with turn`."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: deque[_Waiting] = deque()

    async def __aenter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            loop = asyncio.get_running_loop()
            mine = (loop, loop.create_future())
            self._waiting.append(mine)
        try:
            await mine[1]
        except asyncio.CancelledError:
            self._give_up(mine)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._next()

    def _give_up(self, mine: _Waiting) -> None:
        with self._guard:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return
        self._next()  # it was our turn already

    def _next(self) -> None:
        with self._guard:
            while self._waiting:
                loop, future = self._waiting.popleft()
                try:
                    loop.call_soon_threadsafe(_grant, future)
                except RuntimeError:
                    continue  # that loop has been closed
                return
            self._taken = False


def _grant(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
