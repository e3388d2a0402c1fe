"""When updates of a channel may begin next, as its targets have it."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel_policy import ChannelPolicy
from tidegate.domain.rollout_policy import Mode
from tidegate.domain.windows import Gate
from tidegate.manager.console.day import local
from tidegate.manager.console.words import distance
from tidegate.manager.rollouts.gates import Calendar
from tidegate.manager.store.schema import clusters, targets

BY_HAND = frozenset({Mode.PINNED, Mode.MONITOR_ONLY})
_NEVER = datetime.max.replace(tzinfo=UTC)

Place = tuple[str, tuple[tuple[str, str], ...]]
"""What rules tell apart: the name of a cluster, and those of its labels, that one of them names."""


@dataclass(frozen=True, slots=True)
class Chance:
    """The next one of so many targets: how it looks, in a few words, and more about it."""

    looks: str
    text: str
    more: str
    targets: int


@dataclass(frozen=True, slots=True)
class Places:
    """By channels, how many targets are in which places."""

    counts: Mapping[int, Counter[Place]]

    def gates(self, known: Calendar, channel: int, policy: ChannelPolicy, now: datetime) -> list[tuple[Gate, int]]:
        """The gates of its targets with how many have each: those that are open first, then by when they open."""
        places = list(self.counts.get(channel, {}).items())
        asked = [(str(at), cluster, dict(labels)) for at, ((cluster, labels), _) in enumerate(places)]
        found = known.gates(policy, channel, asked, now)
        counts: dict[Gate, int] = defaultdict(int)
        for at, (_, count) in enumerate(places):
            counts[found[str(at)]] += count
        return sorted(counts.items(), key=lambda one: _opens(one[0], now))


async def places(conn: AsyncConnection, known: Calendar) -> Places:
    """Where targets are, as far as windows and freezes tell places apart."""
    scopes = [scope for scope, _ in (*known.windows, *known.freezes)]
    named = {one for scope in scopes for one in scope.clusters}
    names = {one for scope in scopes for one in scope.labels}
    statement = (
        select(targets.c.channel_id, targets.c.cluster_id, func.count().label("many"))
        .where(targets.c.gone_at.is_(None), targets.c.channel_id.is_not(None))
        .group_by(targets.c.channel_id, targets.c.cluster_id)
    )
    where = await _clusters(conn, named, names) if named or names else {}
    counts: dict[int, Counter[Place]] = defaultdict(Counter)
    for one in await conn.execute(statement):
        counts[one.channel_id][where.get(one.cluster_id, ("", ()))] += one.many
    return Places(counts)


async def _clusters(conn: AsyncConnection, named: set[str], names: set[str]) -> dict[int, Place]:
    found: dict[int, Place] = {}
    for one in await conn.execute(select(clusters.c.id, clusters.c.name, clusters.c.labels)):
        labels = tuple(sorted((name, value) for name, value in (one.labels or {}).items() if name in names))
        found[one.id] = (one.name if one.name in named else "", labels)
    return found


def chances(gates: Sequence[tuple[Gate, int]], policy: ChannelPolicy, zone: ZoneInfo, now: datetime) -> list[Chance]:
    """How these are told; a policy that sends nothing out by itself has none, whatever its gates are."""
    if policy.mode in BY_HAND:
        count = sum(count for _, count in gates)
        return [Chance("held", f"never: {policy.mode}", "new releases go out by hand only", count)]
    return [_chance(gate, count, zone, now) for gate, count in gates]


def _chance(gate: Gate, count: int, zone: ZoneInfo, now: datetime) -> Chance:
    if gate.open:
        until = f"until {local(gate.closes_at, zone, now)}" if gate.closes_at is not None else "no window is set"
        return Chance("current", "now", until, count)
    opens = f"{distance(gate.next_open - now)} ({local(gate.next_open, zone, now)})" if gate.next_open else ""
    if gate.frozen is None:
        return Chance("offline", opens or "never", "" if opens else "no window opens any more", count)
    name = ": ".join(one for one in (gate.frozen.name, gate.frozen.reason) if one)
    text = f"frozen until {local(gate.frozen.end, zone, now)}" + (f" ({name})" if name else "")
    later = gate.next_open is None or gate.next_open > gate.frozen.end.astimezone(UTC)
    return Chance("updating", text, (f"opens {opens}" if opens else "no window opens after it") if later else "", count)


def _opens(gate: Gate, now: datetime) -> datetime:
    return now if gate.open else gate.next_open or _NEVER
