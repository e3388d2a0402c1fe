"""Asking the registries what their tags name: one HEAD for each channel, however many targets follow it."""

import asyncio
import random as chance
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import case, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.reference import Reference, parse_reference
from tidegate.manager.releases.channels import find, followers
from tidegate.manager.releases.due import Worker
from tidegate.manager.releases.patience import Patience
from tidegate.manager.releases.sightings import REGISTRY, seen
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import channels
from tidegate.manager.store.topics import POLLS
from tidegate.manager.telling.feed import tell
from tidegate.registry.errors import RegistryError
from tidegate.registry.model import Head

_AT_ONCE = 16
_AT_ONCE_PER_REGISTRY = 4
_CLAIM = timedelta(minutes=10)
"""A replica that dies with a channel in its hands keeps it from the others for so long."""
_LONGEST_S = 3600.0
_UNFOLLOWED = 12
_UNFOLLOWED_S = 86_400.0
"""A channel that no target follows is asked about so much less often, and once a day at most."""


class Tags(Protocol):
    """What is asked of a registry."""

    async def head(self, reference: Reference) -> Head:
        """The digest now behind a tag. Raises `RegistryError`."""


@dataclass(frozen=True, slots=True)
class Due:
    """A channel to ask about. `until` is when the claim on it ends."""

    id: int
    name: str
    repository: str
    tag: str
    failures: int
    trouble: str
    followed: bool
    until: datetime


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Poller:
    """Runs beside the API. `interval_s` lies between two questions about a channel, a tenth more or less by chance."""

    def __init__(
        self,
        db: Database,
        registry: Tags,
        *,
        interval_s: float,
        clock: Callable[[], datetime] = utc_now,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._db = db
        self._registry = registry
        self._interval_s = interval_s
        self._clock = clock
        self._random = random
        self._patience = Patience(clock, random)
        self._counted: dict[int, datetime] = {}  # by channel, until when its failure of now is counted
        self._gates: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE_PER_REGISTRY))

    async def run(self) -> None:
        """Ask until cancelled."""
        await Worker(self._db, self, topics=(POLLS,), at_once=_AT_ONCE, clock=self._clock).run()

    async def next_at(self, conn: AsyncConnection) -> datetime | None:
        """When a channel is due next."""
        found: datetime | None = (await conn.execute(select(func.min(channels.c.poll_at)))).scalar_one()
        return found

    async def claim(self, conn: AsyncConnection, now: datetime, most: int) -> Sequence[Due]:
        """Take the channels that are due."""
        due = select(channels.c.id).where(channels.c.poll_at <= now).order_by(channels.c.poll_at).limit(most)
        ids = (await conn.execute(due.with_for_update(skip_locked=True, key_share=True))).scalars().all()
        columns = [channels.c[name] for name in ("id", "name", "repository", "tag", "failures", "trouble")]
        taken = update(channels).where(channels.c.id.in_(ids)).values(poll_at=now + _CLAIM)
        rows = (await conn.execute(taken.returning(*columns))).mappings().all()
        followed = await followers(conn, ids)
        return [Due(**row, followed=row["id"] in followed, until=now + _CLAIM) for row in rows]

    async def do(self, job: Due) -> None:
        """Ask about one channel and take in the answer."""
        reference = parse_reference(f"{job.repository}:{job.tag}")
        async with self._gates[reference.registry]:
            if (error := self._patience.left_alone(reference)) is not None:
                until = self._patience.until(reference)
                await self._in_trouble(job, error, until, self._left_alone(job, until))
                return
            await self._ask(job, reference)

    async def _ask(self, job: Due, reference: Reference) -> None:
        asked_at = self._clock()
        try:
            head = await self._registry.head(reference)
        except RegistryError as error:
            own = self._patience.failed(error, asked_at)
            next_at = self._patience.until(reference) if own else self._later(job.failures)
            self._counted[job.id] = next_at
            await self._in_trouble(job, error, next_at, job.failures + 1)
        else:
            self._patience.answered(reference, asked_at)
            await self._answered(job, head.digest, asked_at)

    def _left_alone(self, job: Due, until: datetime) -> int:
        """How often it has failed now: once more for each wait of its registry, however many hints come meanwhile."""
        counted = self._counted.get(job.id)
        if counted is not None and self._clock() < counted:
            return job.failures
        self._counted[job.id] = until
        return job.failures + 1

    async def _answered(self, job: Due, digest: str, asked_at: datetime) -> None:
        now = self._clock()
        often_s = self._interval_s if job.followed else max(self._interval_s * _UNFOLLOWED, _UNFOLLOWED_S)
        next_at = now + self._about(often_s)
        async with self._db.write() as conn:
            if await find(conn, job.repository, job.tag) != job.id:
                return  # it was taken away meanwhile
            await seen(conn, job.repository, job.tag, digest, asked_at, REGISTRY, now)
            await _put_back(conn, job, next_at, polled_at=asked_at, trouble="", failures=0)
            if job.trouble:
                await tell(conn, "channel.answers", f"channel {job.id}", now, channel=job.name)

    async def _in_trouble(self, job: Due, error: RegistryError, next_at: datetime, failures: int) -> None:
        now, trouble = self._clock(), str(error)
        if not job.followed:
            next_at = max(next_at, now + self._about(_UNFOLLOWED_S))
        async with self._db.write() as conn:
            await _put_back(conn, job, next_at, trouble=trouble, failures=failures)
            if not job.trouble:
                await tell(conn, "channel.trouble", f"channel {job.id}", now, channel=job.name, trouble=trouble)

    def _later(self, failures: int) -> datetime:
        """After what asking again will hardly change: a tag that is not there, an account that is not let in."""
        wait_s = min(self._interval_s * 2.0 ** min(failures, 10), max(_LONGEST_S, self._interval_s))
        return self._clock() + self._about(wait_s)

    def _about(self, seconds: float) -> timedelta:
        """A tenth more or less, so that not everything is asked at once."""
        return timedelta(seconds=seconds * (0.9 + 0.2 * self._random()))


async def _put_back(conn: AsyncConnection, job: Due, next_at: datetime, **found: Any) -> None:
    """Write down what was found out; a hint that came meanwhile stays the time of the next question."""
    poll_at = channels.c.poll_at
    later = case((poll_at == job.until, literal(next_at, poll_at.type)), else_=poll_at)
    await conn.execute(update(channels).where(channels.c.id == job.id).values(poll_at=later, **found))
