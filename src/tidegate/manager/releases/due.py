"""Doing what is due, several at once, taken from the database so that of several replicas one does it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.agent.within import within
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError

_LOOK_S = 30.0
"""At the latest it is looked for what is due after this: what tells of it may be lost."""
_log = structlog.get_logger(__name__)

JobT = TypeVar("JobT")


class Work(Protocol[JobT]):
    """What there is to do."""

    async def next_at(self, conn: AsyncConnection) -> datetime | None:
        """When something is due next; None: nothing will be by itself."""

    async def claim(self, conn: AsyncConnection, now: datetime, most: int) -> Sequence[JobT]:
        """Take what is due, so that no other replica takes it for a while."""

    async def do(self, job: JobT) -> None:
        """Do it. What it raises is logged, and it is due again when the claim ends."""


class Worker(Generic[JobT]):
    """Does `work`, `at_once` at a time; a message on one of `topics` has it look at once."""

    def __init__(
        self, db: Database, work: Work[JobT], *, topics: Sequence[str], at_once: int, clock: Callable[[], datetime]
    ) -> None:
        self._db = db
        self._work = work
        self._topics = topics
        self._at_once = at_once
        self._clock = clock
        self._wake = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Go on until cancelled; what is under way then is given up, and due again when its claim ends."""
        with contextlib.ExitStack() as stack:
            for topic in self._topics:
                stack.enter_context(self._db.bus.listening(topic, lambda _keys: self._wake.set()))
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._turn(group)

    async def _turn(self, group: asyncio.TaskGroup) -> None:
        self._wake.clear()
        try:
            wait_s = await self._begin(group)
        except StoreUnavailableError as error:
            _log.warning("what is due cannot be looked up; trying again", reason=str(error))
            wait_s = error.retry_after_s
        await within(self._wake, wait_s)

    async def _begin(self, group: asyncio.TaskGroup) -> float:
        """Begin what is due, as far as there is room for it; for how many seconds nothing more can be begun."""
        room = self._at_once - len(self._busy)
        if room == 0:
            return _LOOK_S  # it looks again when something is done
        async with self._db.read() as conn:
            due_at = await self._work.next_at(conn)
        wait_s = _LOOK_S if due_at is None else (due_at - self._clock()).total_seconds()
        if wait_s > 0:
            return min(wait_s, _LOOK_S)
        async with self._db.write() as conn:
            jobs = await self._work.claim(conn, self._clock(), room)
        for job in jobs:
            self._start(group, job)
        return 0 if jobs else 1.0  # another replica was quicker

    def _start(self, group: asyncio.TaskGroup, job: JobT) -> None:
        task = group.create_task(self._do(job))
        self._busy.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._wake.set()

    async def _do(self, job: JobT) -> None:
        try:
            await self._work.do(job)
        except StoreUnavailableError as error:
            _log.warning("what was found out could not be written; it is done again later", reason=str(error))
        except Exception:  # noqa: BLE001 - one of many: the others go on, and the log tells where it was
            _log.exception("something that was due went wrong; it is done again later", job=str(job)[:300])
