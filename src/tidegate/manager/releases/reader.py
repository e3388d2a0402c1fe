"""Reading what registries say of releases: version, revision, size, and the config that people are shown changes of."""

import random as chance
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import case, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.reference import Reference, parse_reference
from tidegate.manager.releases import fixed_tag as tags
from tidegate.manager.releases.due import Worker
from tidegate.manager.releases.image import Image, Images, read_image
from tidegate.manager.releases.patience import Patience
from tidegate.manager.releases.poller import utc_now
from tidegate.manager.releases.sightings import also_running
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import channels, releases, targets
from tidegate.manager.store.topics import RELEASES
from tidegate.manager.telling.feed import tell
from tidegate.registry.errors import PlatformNotFoundError, RegistryError

DEFAULT_PLATFORM = "linux/amd64"
_AT_ONCE = 4
_CLAIM = timedelta(minutes=10)
_SOONEST_S, _LONGEST_S = 30.0, 3600.0
_GIVEN_UP = timedelta(days=7)
"""After this nothing more is tried: what could not be read in a week is not there."""
_MOST_PLATFORMS = 6


class Registry(Images, tags.Tags, Protocol):
    """What is asked of a registry."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A release to read. `until` is when the claim on it ends."""

    id: int
    digest: str
    seen_at: datetime
    channel_id: int
    name: str
    repository: str
    tag: str
    until: datetime


class Reader:
    """Runs beside the API."""

    def __init__(
        self,
        db: Database,
        registry: Registry,
        *,
        clock: Callable[[], datetime] = utc_now,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._db = db
        self._registry = registry
        self._clock = clock
        self._random = random
        self._patience = Patience(clock, random)

    async def run(self) -> None:
        """Read until cancelled."""
        await Worker(self._db, self, topics=(RELEASES,), at_once=_AT_ONCE, clock=self._clock).run()

    async def next_at(self, conn: AsyncConnection) -> datetime | None:
        """When a release is to be read next."""
        found: datetime | None = (await conn.execute(select(func.min(releases.c.read_again_at)))).scalar_one()
        return found

    async def claim(self, conn: AsyncConnection, now: datetime, most: int) -> Sequence[Unread]:
        """Take the releases that are to be read, the newest first."""
        due = select(releases.c.id).where(releases.c.read_again_at <= now).order_by(releases.c.named_at.desc())
        ids = (await conn.execute(due.limit(most).with_for_update(skip_locked=True))).scalars().all()
        await conn.execute(update(releases).where(releases.c.id.in_(ids)).values(read_again_at=now + _CLAIM))
        own = [releases.c[name] for name in ("id", "digest", "seen_at", "channel_id")]
        of_channel = [channels.c[name] for name in ("name", "repository", "tag")]
        taken = select(*own, *of_channel).join(channels).where(releases.c.id.in_(ids))
        return [Unread(**row, until=now + _CLAIM) for row in (await conn.execute(taken)).mappings()]

    async def do(self, job: Unread) -> None:
        """Read one release and write down what was read."""
        reference = parse_reference(job.repository).with_digest(job.digest)
        if (known := self._patience.left_alone(reference)) is not None:
            await self._failed(job, known, self._patience.until(reference))
            return
        asked_at = self._clock()
        try:
            image = await read_image(self._registry, reference, await self._platforms(job.channel_id))
        except RegistryError as error:
            self._patience.failed(error, asked_at)
            await self._failed(job, error, self._later(job, reference))
        else:
            self._patience.answered(reference, asked_at)
            found = await tags.fixed_tag(
                self._registry, reference, tag=job.tag, version=image.version, revision=image.revision
            )
            await self._read(job, image, found)

    async def _platforms(self, channel_id: int) -> list[str]:
        """What the channel's targets run on, the most common first."""
        here = (targets.c.channel_id == channel_id) & targets.c.gone_at.is_(None) & (targets.c.platform != "")
        names = select(targets.c.platform).where(here).group_by(targets.c.platform)
        by_count = names.order_by(func.count().desc(), targets.c.platform).limit(_MOST_PLATFORMS)
        async with self._db.read() as conn:
            return list((await conn.execute(by_count)).scalars()) or [DEFAULT_PLATFORM]

    async def _read(self, job: Unread, image: Image, found: str) -> None:
        now = self._clock()
        values = {
            "read_at": now,
            "trouble": f"it is not made for {' and '.join(image.missing)}" if image.missing else "",
            "version": image.version,
            "revision": image.revision,
            "source": image.source,
            "fixed_tag": found,
            "image_created": image.created,
            "size": image.size,
            "labels": image.labels,
            "configs": image.configs,
        }
        async with self._db.write() as conn:
            await also_running(conn, job.channel_id, now)
            await _put_back(conn, job, None, values)
            data = {"channel": job.name, "digest": job.digest, "version": image.version}
            await tell(conn, "release.read", f"release {job.id}", now, **data)

    async def _failed(self, job: Unread, error: RegistryError, again_at: datetime) -> None:
        """What it was not made for, and what could not be read in days, is not tried again."""
        now = self._clock()
        final = isinstance(error, PlatformNotFoundError) or now - job.seen_at > _GIVEN_UP
        async with self._db.write() as conn:
            await also_running(conn, job.channel_id, now)
            await _put_back(conn, job, None if final else again_at, {"trouble": str(error)})

    def _later(self, job: Unread, reference: Reference) -> datetime:
        """After as long again as it has been tried already; not before its registry may be asked."""
        now = self._clock()
        tried_s = (now - job.seen_at).total_seconds()
        wait_s = min(max(tried_s, _SOONEST_S), _LONGEST_S) * (0.9 + 0.2 * self._random())
        return max(now + timedelta(seconds=wait_s), self._patience.until(reference))


async def _put_back(conn: AsyncConnection, job: Unread, again_at: datetime | None, values: dict[str, Any]) -> None:
    """Write down what was found out; that it is to be read again, which was asked for meanwhile, stays."""
    column = releases.c.read_again_at
    later = case((column == job.until, literal(again_at, column.type)), else_=column)
    await conn.execute(update(releases).where(releases.c.id == job.id).values(read_again_at=later, **values))
