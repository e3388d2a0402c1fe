"""What agents see behind tags: it counts for the channels that they follow, where the manager cannot ask by itself."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.known import Agent
from tidegate.manager.releases.channels import poll_soon
from tidegate.manager.releases.sightings import newest_digest
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import channels, clusters, targets
from tidegate.protocol.events import Sighting

Seen = Callable[[AsyncConnection, str, str, str, datetime, str, datetime], Awaitable[Any]]
"""Takes a sighting: repository, tag, digest, at, told_by, now."""
_OLDEST = timedelta(days=3650)
"""What an agent says to have seen before that, it has seen with a clock that was never set."""
_CALM = timedelta(seconds=5)
"""So long a registry is left alone after its answer, however much agents see."""


@dataclass(frozen=True, slots=True)
class Sighted:
    """One agent's word."""

    agent: Agent
    event: Sighting


async def take_in_sightings(conn: AsyncConnection, told: Sequence[Sighted], now: datetime, seen: Seen) -> None:
    """Take in what agents have seen, after their inventories.

    What none of an agent's targets follows is passed over. Where the registry answers the manager itself, what is new
    is a hint to ask it: an agent's key may be stolen, and a replica that the agent is sent to may lag behind. The
    others, such as registries that only agents reach, are known by the agents' word alone.
    """
    followed = await _followed(conn, told)
    hints, truths = list[Any](), list[tuple[Any, Sighted]]()
    for one in told:
        channel = followed.get((one.agent.id, one.event.repository, one.event.tag))
        if channel is None:
            continue
        if channel.polled_at is None or channel.trouble:
            truths.append((channel, one))
        elif one.event.digest != channel.newest and one.event.at > channel.polled_at:
            hints.append(channel)
    await _ask(conn, hints, now)
    for _, one in sorted(truths, key=lambda pair: pair[0].id):  # stable: each agent's own order stays
        it, at = one.event, max(one.event.at, now - _OLDEST)
        await seen(conn, it.repository, it.tag, it.digest, at, f"agent {one.agent.name}", now)


async def _followed(conn: AsyncConnection, told: Iterable[Sighted]) -> dict[tuple[str, str, str], Any]:
    """The channels that are spoken of, each by an agent that has a target on it and by repository and tag."""
    names = {f"{one.event.repository}:{one.event.tag}" for one in told}
    columns = [channels.c[name] for name in ("id", "repository", "tag", "polled_at", "trouble")]
    found: dict[tuple[str, str, str], Any] = {}
    for some in pieces(sorted(names)):
        statement = (
            select(clusters.c.agent_id, *columns, newest_digest(channels.c.id).label("newest"))
            .join(targets, targets.c.cluster_id == clusters.c.id)
            .join(channels, channels.c.id == targets.c.channel_id)
            .where(clusters.c.agent_id.in_({one.agent.id for one in told}))
            .where(targets.c.gone_at.is_(None), channels.c.name.in_(some))
            .distinct()
        )
        for row in await conn.execute(statement):
            found[row.agent_id, row.repository, row.tag] = row
    return found


async def _ask(conn: AsyncConnection, hints: Sequence[Any], now: datetime) -> None:
    """Have the registries of these channels asked as soon as that may be."""
    at = {one.id: max(now, one.polled_at + _CALM) for one in hints}
    for when in sorted(set(at.values())):
        await poll_soon(conn, [id_ for id_, it in at.items() if it == when], when)
