"""Keeps the feed from growing for ever: the oldest entries go, by age and by count."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.telling.feed_read import forget, outdated

_AT_ONCE = 2000
_EVERY_S = 300.0
_log = structlog.get_logger(__name__)


class FeedPruner:
    """Looks every few minutes. `keep` is an age, `most` a count; several replicas may do it at once."""

    def __init__(self, db: Database, clock: Callable[[], datetime], *, keep: timedelta, most: int) -> None:
        self._db, self._clock, self._keep, self._most = db, clock, keep, most

    async def run(self) -> None:
        """Go on until cancelled."""
        while True:
            try:
                await self.prune()
            except StoreUnavailableError as error:
                _log.warning("the feed could not be pruned; trying again later", reason=str(error))
            await asyncio.sleep(_EVERY_S)

    async def prune(self) -> None:
        """Forget what is to be forgotten now, in small transactions so that nobody waits for it."""
        async with self._db.read() as conn:
            upto = await outdated(conn, before=self._clock() - self._keep, most=self._most)
        more = upto > 0
        while more:
            async with self._db.write() as conn:
                more = await forget(conn, upto, at_once=_AT_ONCE)
            await asyncio.sleep(0)
