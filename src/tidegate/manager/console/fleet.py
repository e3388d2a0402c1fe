"""What the fleet's page shows: clusters with how they stand, versions by channel, and what needs a person."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.channel import Release, newest
from tidegate.domain.standing import Service, Standing, by_badness, counted, standing
from tidegate.manager.console.words import release as release_name
from tidegate.manager.store.schema import agents, assignments, channels, clusters, quarantine, releases, targets
from tidegate.manager.telling.alert_look import failures

MOST_VERSIONS = 6
"""So many of a channel are told apart."""
_READ = [
    targets.c[name]
    for name in ("id", "name", "cluster_id", "service", "channel_id", "digest", "health", "held", "reason")
]
"""Of thousands of targets no more is read than is shown."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One tile."""

    name: str
    project: str
    agent: str
    labels: Mapping[str, str]
    online: bool
    last_seen_at: datetime | None
    services: Sequence[Service]

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return standing(self.services, online=self.online)

    @property
    def why(self) -> str:
        """Of the service that stands worst."""
        if self.standing is Standing.OFFLINE:
            return "its agent is not heard"
        worst = min(self.services, key=lambda one: by_badness(one.standing), default=None)
        return f"{worst.name}: {worst.why}" if worst is not None and worst.why else ""

    @property
    def versions(self) -> list[str]:
        """What its services run, as people name it, each once; what has no name but its digest comes last."""
        runs = sorted((one for one in self.services if one.version or one.digest), key=lambda one: not one.version)
        return list(dict.fromkeys(release_name(one.version, one.digest) for one in runs))

    def matches(self, words: Iterable[str]) -> bool:
        """Whether each of these stands in its name, a service's, a version's or a label's."""
        said = [self.name, *(f"{name}={value}" for name, value in self.labels.items())]
        said += [text for one in self.services for text in (one.name, one.version)]
        text = "\n".join(said).lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Spread:
    """A channel: what its targets run, the newest release first, then by how many run it."""

    id: int
    name: str
    newest: str
    targets: int
    parts: Sequence[tuple[str, int, str]]
    """What people call a version, how many run it, and the colour it has."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All of it, at one moment."""

    clusters: Sequence[Cluster]
    spreads: Sequence[Spread]

    @property
    def counts(self) -> Mapping[Standing, int]:
        """How many clusters stand how."""
        return counted([one.standing for one in self.clusters])

    def matching(self, q: str) -> "Fleet":
        """What of it has each of these words."""
        words = q.lower().split()
        return Fleet([one for one in self.clusters if one.matches(words)], self.spreads)

    def worst_first(self, chosen: Standing | None) -> list[Cluster]:
        """Its clusters, or those that stand so."""
        shown = [(by_badness(one.standing), one.name, one) for one in self.clusters]
        return [one for _, _, one in sorted(shown, key=lambda it: it[:2]) if chosen is None or one.standing is chosen]


async def look(conn: AsyncConnection, there: ColumnElement[bool]) -> Fleet:
    """The fleet; `there` tells of a row of `agents` whether it is heard."""
    named = await _newest(conn)
    services, runs = await _services(conn, named)
    tiles = await _tiles(conn, there, services, agents.c.revoked_at.is_(None))
    return Fleet(tiles, await _spreads(conn, named, runs))


async def one(conn: AsyncConnection, there: ColumnElement[bool], cluster_id: int) -> Cluster:
    """One cluster as it stands, also one whose agent was revoked."""
    its = targets.c.cluster_id == cluster_id
    followed = releases.c.channel_id.in_(select(targets.c.channel_id).where(its))
    services, _ = await _services(conn, await _newest(conn, followed), its)
    return (await _tiles(conn, there, services, clusters.c.id == cluster_id))[0]


async def _tiles(
    conn: AsyncConnection, there: ColumnElement[bool], services: Mapping[int, list[Service]], which: ColumnElement[bool]
) -> list[Cluster]:
    statement = (
        select(
            clusters.c.id,
            clusters.c.name,
            clusters.c.project,
            clusters.c.labels,
            agents.c.name.label("agent"),
            agents.c.last_seen_at,
            there.label("online"),
        )
        .join(agents, agents.c.id == clusters.c.agent_id)
        .where(which)
        .order_by(clusters.c.name)
    )
    return [
        Cluster(
            one.name,
            one.project,
            one.agent,
            one.labels or {},
            bool(one.online),
            one.last_seen_at,
            services.get(one.id, []),
        )
        for one in (await conn.execute(statement)).all()
    ]


async def _newest(conn: AsyncConnection, *which: ColumnElement[bool]) -> dict[int, Release]:
    """By channels, the release that is named last of those that may run."""
    held = select(quarantine.c.digest).where(quarantine.c.released_at.is_(None))
    columns = (releases.c.channel_id, releases.c.digest, releases.c.seen_at, releases.c.named_at, releases.c.version)
    known: dict[int, list[Release]] = defaultdict(list)
    for one in await conn.execute(select(*columns).where(releases.c.digest.not_in(held), *which)):
        known[one.channel_id].append(Release(one.digest, one.seen_at, one.named_at, one.version))
    found = {channel: newest(some) for channel, some in known.items()}
    return {channel: one for channel, one in found.items() if one is not None}


async def _services(
    conn: AsyncConnection, named: Mapping[int, Release], *which: ColumnElement[bool]
) -> tuple[dict[int, list[Service]], dict[int, Counter[str]]]:
    """By clusters, their services; and by channels, how many run which digest."""
    failed = {one.target: one.reason for one in await conn.execute(failures().where(*which))}
    under_way = select(assignments.c.target_id).where(assignments.c.open)
    updating = set((await conn.execute(under_way)).scalars())
    released = and_(releases.c.channel_id == targets.c.channel_id, releases.c.digest == targets.c.digest)
    statement = (
        select(
            *_READ,
            targets.c.drift_since.is_not(None).label("drifted"),
            func.coalesce(releases.c.version, "").label("version"),
        )
        .outerjoin(releases, released)
        .where(targets.c.gone_at.is_(None), *which)
        .order_by(targets.c.service)
    )
    services: dict[int, list[Service]] = defaultdict(list)
    runs: dict[int, Counter[str]] = defaultdict(Counter)
    for one in (await conn.execute(statement)).all():
        services[one.cluster_id].append(_service(one, named.get(one.channel_id), updating, failed))
        if one.channel_id is not None:
            runs[one.channel_id][one.digest] += 1
    return services, runs


def _service(row: Any, named: Release | None, updating: set[int], failed: Mapping[str, str]) -> Service:
    return Service(
        row.service,
        digest=row.digest,
        version=row.version,
        newest=named.digest if named is not None else "",
        newest_version=named.version if named is not None else "",
        channel=row.channel_id,
        health=row.health,
        held=row.held,
        updating=row.id in updating,
        failed=failed.get(row.name),
        reason=row.reason,
        drifted=row.drifted,
    )


async def _spreads(
    conn: AsyncConnection, named: Mapping[int, Release], runs: Mapping[int, Counter[str]]
) -> list[Spread]:
    if not runs:
        return []
    versions = {
        (one.channel_id, one.digest): one.version
        for one in await conn.execute(select(releases.c.channel_id, releases.c.digest, releases.c.version))
    }
    statement = select(channels.c.id, channels.c.name).where(channels.c.id.in_(list(runs))).order_by(channels.c.name)
    rows = await conn.execute(statement)
    return [_spread(one.id, one.name, named.get(one.id), runs[one.id], versions) for one in rows]


def _spread(
    id_: int, name: str, named: Release | None, runs: Counter[str], versions: Mapping[tuple[int, str], str]
) -> Spread:
    latest = named.digest if named is not None else ""
    order = sorted(runs.items(), key=lambda one: (one[0] != latest, -one[1], one[0]))
    shown = [(release_name(versions.get((id_, digest), ""), digest), count) for digest, count in order]
    kinds = ["newest" if latest and order[0][0] == latest else "v0", *(f"v{at}" for at in range(1, MOST_VERSIONS))]
    parts = [(name, count, kind) for (name, count), kind in zip(shown, kinds, strict=False)]
    others = shown[MOST_VERSIONS:]
    if others:
        parts.append((f"{len(others)} others", sum(count for _, count in others), "others"))
    newest_name = release_name(named.version, named.digest) if named is not None else ""
    return Spread(id_, name, newest_name, sum(runs.values()), parts)
