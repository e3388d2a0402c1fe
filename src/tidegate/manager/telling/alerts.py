"""Opens and closes alerts, woken by the feed and by time."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.agent.within import within
from tidegate.manager.store.counters import current
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.topics import FEED
from tidegate.manager.telling import alert_rows
from tidegate.manager.telling.alert import Severity, Thresholds
from tidegate.manager.telling.alert_decide import Changes, decide, told_of
from tidegate.manager.telling.alert_facts import Facts
from tidegate.manager.telling.alert_look import look
from tidegate.manager.telling.alert_rules import findings

_EVERY_S = 15.0
_GAP_S = 2.0
"""However much the feed has to tell, it is not looked more often than that."""
_FEED_STEP = 1000
_TRIES = 3
_log = structlog.get_logger(__name__)


class Alerter:
    """Looks what is so, and writes what is to be opened and closed; of several replicas one does each change.

    `sinks` are the names of those who are told.
    """

    def __init__(
        self, db: Database, clock: Callable[[], datetime], sinks: Sequence[str] = (), limits: Thresholds | None = None
    ) -> None:
        self._db, self._clock, self._sinks = db, clock, tuple(sinks)
        self._limits = limits or Thresholds()
        self._since = clock()
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Go on until cancelled."""
        with self._db.bus.listening(FEED, lambda _keys: self._wake.set()):
            while True:
                self._wake.clear()
                try:
                    await self.look()
                except StoreUnavailableError as error:
                    _log.warning("alerts could not be looked after; trying again", reason=str(error))
                await asyncio.sleep(_GAP_S)
                await within(self._wake, _EVERY_S)

    async def look(self) -> None:
        """Bring the alerts up to date. Raises `StoreUnavailableError`."""
        try:
            for _ in range(_TRIES):
                if await self._look_once():
                    return
        except StoreUnavailableError:
            self._since = self._clock()  # whoever was heard meanwhile could not be noted, either
            raise

    async def _look_once(self) -> bool:
        """Whether it is done; False: somebody else has changed alerts meanwhile."""
        now = self._clock()
        if self._db.cannot_write is not None:
            self._since = now
        async with self._db.read() as conn:
            edition, seen = await alert_rows.positions(conn)
            last = await current(conn, "feed")
            facts = await look(conn, self._limits, now, watching_since=self._since, feed=(max(seen, 0), last))
            changes = await self._decide(conn, facts, now)
        if seen < 0:
            async with self._db.write() as conn:
                await alert_rows.begin(conn, last)
            return False
        # what the feed has told is taken in once, or an alert that was acknowledged would come back
        if not changes and not facts.refused and last < seen + _FEED_STEP:
            return True
        return await self._write(changes, edition, last, now)

    async def _decide(self, conn: AsyncConnection, facts: Facts, now: datetime) -> Changes:
        alerts = await alert_rows.open_alerts(conn, now)
        found = findings(facts, self._limits, now, told_of(alerts))
        return decide(found, alerts, await alert_rows.done_with(conn, found), self._limits, now)

    async def _write(self, changes: Changes, edition: int, feed_to: int, now: datetime) -> bool:
        try:
            async with self._db.write() as conn:
                if not await alert_rows.advance_from(conn, edition, feed_to):
                    return False
                await alert_rows.write(conn, changes, self._sinks, now)
        except IntegrityError:  # one was opened from elsewhere
            return False
        for one in changes.open:
            say = _log.error if one.severity is Severity.CRITICAL else _log.warning
            say("alert", rule=one.rule, about=one.subject, severity=one.severity, text=one.text)
        return True
