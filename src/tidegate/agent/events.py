"""One reader of the engine's events for the whole agent, which resumes where it left off."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

import structlog

from tidegate.agent.background import Background
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Event
from tidegate.engine.port import Engine

Listener = Callable[[Event], None]
_KEPT = 1000
"""Events of containers and networks that the agent remembers: an engine forgets after 256 of every kind."""
_log = structlog.get_logger(__name__)


class EventHub:
    """Hands each event to every listener; reconnects with the last time seen, so that none is missed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._listeners: list[Listener] = []
        self._kept: deque[Event] = deque(maxlen=_KEPT)
        self._last_ns: int | None = None
        self._reading = Background("engine-events")

    def start(self) -> None:
        """Begin reading."""
        # from now on, not from when the stream stands: what happens in between would be missed
        if self._reading.start(self._read_for_ever):
            self._last_ns = time.time_ns()

    async def close(self) -> None:
        """Stop reading."""
        await self._reading.close()

    @contextlib.contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call `listener` for each event while the block lasts."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def kept(self, since_ns: int) -> list[Event]:
        """What was heard of the time from then on, as far as it is remembered here."""
        return [event for event in self._kept if event.time_ns >= since_ns]

    async def _read_for_ever(self) -> None:
        delay_s = 0.1
        while True:
            resumed_ns = self._last_ns or 0
            try:
                async for event in self._engine.events(since_ns=self._last_ns):
                    delay_s = 0.1
                    # some come a little out of order; what had come before the stream broke off is not wanted again
                    if event.time_ns >= resumed_ns:
                        self._hand_on(event)
            except EngineError as error:
                _log.debug("engine events broke off", error=str(error))
            except Exception:  # noqa: BLE001 - an agent that reads no events does not see what people do
                _log.exception("engine events could not be read; they are asked for again")
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 5.0)

    def _hand_on(self, event: Event) -> None:
        self._last_ns = max(self._last_ns or 0, event.time_ns + 1)
        self._kept.append(event)
        for listener in tuple(self._listeners):
            listener(event)
