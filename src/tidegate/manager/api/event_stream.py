"""An answer that goes on until its reader, its token or the manager ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractContextManager

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STALLED_S = 30.0
"""Who takes nothing for so long is let go."""


class EventStream(Response):
    """Sends texts as they come. `place` is left when it is over, however it is."""

    media_type = "text/event-stream"

    def __init__(self, texts: AsyncIterator[str], place: AbstractContextManager[object]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # proxies are not to hold it back
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._texts, self._place = texts, place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until there is no more, or nobody takes it."""
        del scope
        with self._place:
            gone = asyncio.create_task(_gone(receive))
            sending = asyncio.create_task(self._send(send))
            try:
                await asyncio.wait([gone, sending], return_when=asyncio.FIRST_COMPLETED)
            finally:
                gone.cancel()
                sending.cancel()
                await asyncio.gather(gone, sending, return_exceptions=True)
            if not sending.cancelled():
                sending.result()  # a fault is not to look like an end

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for text in self._texts:
            if not await _taken(send({"type": "http.response.body", "body": text.encode(), "more_body": True})):
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _taken(sending: Awaitable[None]) -> bool:
    """Whether it was taken in time."""
    try:
        async with asyncio.timeout(STALLED_S):
            await sending
    except (TimeoutError, OSError):
        return False
    return True


async def _gone(receive: Receive) -> None:
    """Wait until the reader has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
