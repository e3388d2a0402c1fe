"""Sends what is to be told: at least once, with back-off, by one of several replicas."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from tidegate.agent.within import within
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.topics import DELIVERIES
from tidegate.manager.telling import delivery_rows
from tidegate.manager.telling.delivery_rows import Delivery
from tidegate.manager.telling.sinks.sink import DeliveryError, Sink

_LOOK_S = 5.0
_AT_ONCE = 8
_LEASE = timedelta(minutes=2)
"""Who took a delivery and is not heard of again has died; it is longer than any sink may take."""
_DELAYS_S = (5, 15, 60, 300, 900, 1800, 3600)
ATTEMPTS = 24
"""Then it is given up: after about 18 hours."""
_FORSAKEN = timedelta(hours=1)
_log = structlog.get_logger(__name__)


def delay_s(attempts: int, retry_after_s: float, spread: float) -> float:
    """How long to wait after so many attempts; `spread` from 0 to 1 adds up to a fifth, to spread them."""
    planned = _DELAYS_S[min(max(attempts, 1), len(_DELAYS_S)) - 1]
    return max(planned, retry_after_s) * (1 + spread / 5)


class Deliverer:
    """Takes what is due for these sinks, and sends it. `results` counts by kind of sink, and by how it went."""

    def __init__(
        self,
        db: Database,
        clock: Callable[[], datetime],
        sinks: Sequence[Sink],
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._db, self._clock, self._spread = db, clock, spread
        self._sinks = {one.name: one for one in sinks}
        self._wake = asyncio.Event()
        self.results: Counter[tuple[str, str]] = Counter()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sinks."""
        return tuple(self._sinks)

    async def run(self) -> None:
        """Go on until cancelled."""
        with self._db.bus.listening(DELIVERIES, lambda _keys: self._wake.set()):
            while True:
                self._wake.clear()
                try:
                    await self.send_due()
                except StoreUnavailableError as error:
                    _log.warning("alerts could not be sent; trying again", reason=str(error))
                await within(self._wake, _LOOK_S)

    async def send_due(self) -> None:
        """Send all that is due now."""
        await self._give_up_forsaken()
        while due := await self._claim():
            await asyncio.gather(*(self._deliver(one) for one in due))

    async def _claim(self) -> list[Delivery]:
        now = self._clock()
        async with self._db.read() as conn:  # most often there is nothing, and nobody is to wait for that
            if not await delivery_rows.any_due(conn, self.names, now):
                return []
        async with self._db.write() as conn:
            return await delivery_rows.claim(conn, self.names, now, lease=_LEASE, most=_AT_ONCE)

    async def _deliver(self, it: Delivery) -> None:
        sink = self._sinks[it.sink]
        try:
            await sink.send(it)
        except DeliveryError as error:
            await self._failed(it, sink, str(error), error.retry_after_s)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other sinks are told; its words may show secrets
            await self._failed(it, sink, f"a fault of the manager ({type(error).__name__})", 0)
        else:
            self.results[sink.kind, "sent"] += 1
            async with self._db.write() as conn:
                await delivery_rows.done(conn, it.id, self._clock())

    async def _failed(self, it: Delivery, sink: Sink, trouble: str, retry_after_s: float) -> None:
        gives_up = it.attempts >= ATTEMPTS
        about = {"alert": it.alert_id, "sink": it.sink, "what": it.what, "attempt": it.attempts, "reason": trouble}
        self.results[sink.kind, "given_up" if gives_up else "failed"] += 1
        now = self._clock()
        async with self._db.write() as conn:
            if gives_up:
                await delivery_rows.done(conn, it.id, now, trouble)
            else:
                wait = timedelta(seconds=delay_s(it.attempts, retry_after_s, self._spread()))
                await delivery_rows.put_off(conn, it.id, now + wait, trouble)
        if gives_up:
            _log.error("an alert could not be sent and is given up", **about)
        else:
            _log.warning("an alert could not be sent; it is tried again", **about)

    async def _give_up_forsaken(self) -> None:
        """What is for sinks that the settings do not name any more; another replica may still have them for a while."""
        now = self._clock()
        async with self._db.read() as conn:
            left = await delivery_rows.forsaken(conn, self.names, now - _FORSAKEN)
        for id_, sink in left:
            async with self._db.write() as conn:
                await delivery_rows.done(conn, id_, now, "the settings do not name it any more")
            _log.warning("an alert is not sent: the settings do not name its receiver any more", sink=sink)
