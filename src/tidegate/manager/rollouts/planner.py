"""Sends a channel's new releases on their way, where its policy says that this needs nobody."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.agent.within import within
from tidegate.domain.channel import Choice, Release, choose, newest
from tidegate.domain.channel_policy import read_channel_policy
from tidegate.domain.rollout import ENDED, FORBIDDEN, Kind, Progress, State
from tidegate.domain.rollout_leaving import MONITORED
from tidegate.manager.people.audit import MANAGER, Actor
from tidegate.manager.rollouts.create import CreateRefusedError, Wish, create, running, select_members
from tidegate.manager.store.counters import current
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import channels, quarantine, releases, rollout_targets, rollouts
from tidegate.manager.store.schema import targets as targets_table
from tidegate.manager.store.topics import RELEASES

_LOOK_S = 15.0
_REST = 4
"""After a look that took so long this many times that, so that what agents tell gathers."""
_LONGEST_REST_S = 1.0
_AGAIN = timedelta(minutes=5)
"""How often each channel is looked at though nothing was told of it."""
_BECAME = {
    State.COMPLETED: "went out already",
    State.FAILED: "went out, and failed",
    State.ROLLED_BACK: "went out, and was rolled back",
    State.CANCELLED: "was turned down or stopped",
}
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Planner:
    """Looks at channels that have something new."""

    db: Database
    clock: Callable[[], datetime]
    _stir: asyncio.Event = field(default_factory=asyncio.Event)
    _named: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """Look at channels when something is told of them, and from time to time, until cancelled."""
        with self.db.bus.listening(RELEASES, self._hear):
            while True:
                self._stir.clear()
                began = time.monotonic()
                try:
                    await self._round()
                    await asyncio.sleep(min(_REST * (time.monotonic() - began), _LONGEST_REST_S))
                    rest = _LOOK_S
                except StoreUnavailableError as error:
                    _log.warning("channels wait for the database", reason=str(error))
                    rest = float(error.retry_after_s)
                await within(self._stir, rest)

    def _hear(self, keys: object) -> None:
        self._named |= {int(key) for key in keys}  # type: ignore[attr-defined]
        self._stir.set()

    async def _round(self) -> None:
        named, self._named = self._named, set()
        now = self.clock()
        async with self.db.read() as conn:
            due = or_(channels.c.plan_at.is_(None), channels.c.plan_at <= now)
            ids = set((await conn.execute(select(channels.c.id).where(due))).scalars())
        for id_ in sorted(ids | named):
            await self.plan(id_)

    async def plan(self, channel_id: int) -> Choice | None:
        """Look at one channel; what was chosen. Raises `StoreUnavailableError`."""
        async with self.db.write() as conn:
            now = self.clock()
            await current(conn, "world", hold=True)
            statement = update(channels).where(channels.c.id == channel_id).values(plan_at=now + _AGAIN)
            row = (await conn.execute(statement.returning(channels.c.policy, channels.c.choice))).one_or_none()
            if row is None:
                return None
            choice, targets = await choice_for(conn, channel_id, row.policy)
            choice = await _carry_out(conn, channel_id, choice, targets, now)
            if choice.reason != row.choice:
                said = update(channels).where(channels.c.id == channel_id).values(choice=choice.reason)
                await conn.execute(said)
            return choice


async def _carry_out(
    conn: AsyncConnection, channel_id: int, choice: Choice, targets: set[int] | None, now: datetime
) -> Choice:
    """Send out what was chosen; the choice, as it came to be. What cannot go out keeps no other channel from it."""
    if choice.release is None:
        return choice
    digest = choice.release.digest
    wish = Wish(channel_id, digest, targets=targets, not_before=choice.not_before, reason=choice.reason)
    try:
        made = await create(conn, wish, Actor(MANAGER), now)
    except CreateRefusedError as error:
        return Choice(None, f"{digest[:19]} cannot go out: {error}")
    _log.info("a release goes out", channel=channel_id, rollout=made.id, digest=digest)
    return choice


async def choice_for(
    conn: AsyncConnection, channel_id: int, document: dict[str, object]
) -> tuple[Choice, set[int] | None]:
    """What is to go out, and to which targets; None: all of them."""
    policy = read_channel_policy(document)
    rows = await conn.execute(select(releases).where(releases.c.channel_id == channel_id))
    known = [Release(one.digest, one.seen_at, one.named_at, one.version) for one in rows]
    latest = newest(known)
    dealt_with = await _dealt_with(conn, channel_id, latest) if latest else {}
    late = set[int]()
    if latest is not None and dealt_with.get(latest.digest) == _BECAME[State.COMPLETED]:
        late = await _latecomers(conn, channel_id, latest.digest)
    held = await conn.execute(select(quarantine.c.digest).where(quarantine.c.released_at.is_(None)))
    choice = choose(
        policy,
        known,
        running=await running(conn, channel_id),
        quarantined=set(held.scalars()),
        under_way=await _under_way(conn, channel_id),
        dealt_with={} if late else dealt_with,
    )
    return choice, late or None


async def _latecomers(conn: AsyncConnection, channel_id: int, digest: str) -> set[int]:
    """Targets that run something else, and were in no rollout of the channel since this release went out first.

    Who has left one for being monitored only, and is so no more, is as good as new.
    """
    went_out = (
        select(func.min(rollouts.c.id))
        .where(rollouts.c.channel_id == channel_id, rollouts.c.digest == digest, rollouts.c.kind == Kind.UPDATE)
        .scalar_subquery()
    )
    left = and_(rollout_targets.c.progress == Progress.LEFT_ALONE, rollout_targets.c.reason == MONITORED)
    since = select(rollout_targets.c.target_id).where(rollout_targets.c.rollout_id >= went_out, ~left)
    others = targets_table.c.digest.not_in(("", digest)), targets_table.c.id.not_in(since)
    free = select_members(channel_id).where(~targets_table.c.held)
    statement = free.with_only_columns(targets_table.c.id).where(*others)
    return set((await conn.execute(statement)).scalars())


async def _under_way(conn: AsyncConnection, channel_id: int) -> set[str]:
    statement = select(rollouts.c.digest).where(rollouts.c.channel_id == channel_id, rollouts.c.state.not_in(ENDED))
    return set((await conn.execute(statement)).scalars())


async def _dealt_with(conn: AsyncConnection, channel_id: int, latest: Release) -> dict[str, str]:
    """What became of digests since the tag came to name the newest release.

    A rollback by hand is about what it leaves behind, from the moment that it begins: the release that the tag names is
    not sent out again by itself, to nobody, new hosts among them. What the policy alone kept from beginning waits only
    until it sends releases out again.
    """
    statement = (
        select(rollouts.c.digest, rollouts.c.state, rollouts.c.kind)
        .where(rollouts.c.channel_id == channel_id, rollouts.c.created_at >= latest.named_at)
        .where(or_(rollouts.c.state.in_(_BECAME), rollouts.c.kind == Kind.ROLLBACK))
        .where(~rollouts.c.reason.startswith(FORBIDDEN, autoescape=True) | (rollouts.c.state != State.CANCELLED))
        .order_by(rollouts.c.id)
    )
    found: dict[str, str] = {}
    for one in await conn.execute(statement):
        if one.kind == Kind.UPDATE:
            found[one.digest] = _BECAME[State(one.state)]
        elif one.digest != latest.digest:
            found[latest.digest] = "was left by a rollback"
    return found
