"""What a release's page shows: what it is, what it changes, where it runs, and what became of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout import Rollout, TargetProgress
from tidegate.manager.releases import views
from tidegate.manager.releases.compare_link import commit_link, source_link
from tidegate.manager.rollouts.views import rollout_rows
from tidegate.manager.store.schema import clusters, quarantine, releases, rollouts, targets

MOST_TARGETS = 300
"""Where it runs; the others are counted."""
_MOST_ROLLOUTS = 50
_MOST_OTHERS = 30


class Narrowed(StrEnum):
    """Which releases a list is narrowed down to."""

    NEWEST = "newest"
    RUNNING = "running"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Page:
    """All of it. `places` are the first of `row.running` targets; `others` are releases to compare it with."""

    row: Any
    changes: views.Comparison
    others: Sequence[Any]
    places: Sequence[Any]
    sent: Sequence[Any]
    held: Sequence[Any]
    commit: str
    source: str

    @property
    def free(self) -> bool:
        """Whether it is in no quarantine."""
        return not self.row.quarantined


def listed_so(channel: int, only: Narrowed | None) -> Select[Any]:
    """Releases of a channel (0: of all) that are so."""
    statement = views.listed()
    if channel:
        statement = statement.where(releases.c.channel_id == channel)
    if only is None:
        return statement
    column = {one.name: one for one in statement.selected_columns}[str(only)]
    return statement.where(column > 0 if only is Narrowed.RUNNING else column)


async def look(conn: AsyncConnection, row: Any, before: str | None) -> Page:
    """One release (its row); `before` is the digest to compare it with, None: what most targets run."""
    its = releases.c.channel_id == row.channel_id, releases.c.id != row.id
    others = select(releases.c.digest, releases.c.version).where(*its).order_by(releases.c.named_at.desc())
    here = targets.c.channel_id == row.channel_id, targets.c.digest == row.digest, targets.c.gone_at.is_(None)
    places = (
        select(targets.c.service, targets.c.health, targets.c.digest_since, clusters.c.name.label("cluster"))
        .join(clusters, clusters.c.id == targets.c.cluster_id)
        .where(*here)
        .order_by(targets.c.name)
        .limit(MOST_TARGETS)
    )
    about = rollouts.c.channel_id == row.channel_id, rollouts.c.digest == row.digest
    sent = rollout_rows().where(*about).order_by(rollouts.c.id.desc()).limit(_MOST_ROLLOUTS)
    held = select(quarantine).where(quarantine.c.digest == row.digest).order_by(quarantine.c.id.desc())
    return Page(
        row,
        await views.compare(conn, row.channel_id, row.digest, before),
        (await conn.execute(others.limit(_MOST_OTHERS))).all(),
        (await conn.execute(places)).all(),
        (await conn.execute(sent)).all(),
        (await conn.execute(held)).all(),
        commit_link(row.source, row.revision),
        source_link(row.source),
    )


def waves(it: Rollout) -> Mapping[int, Sequence[TargetProgress]]:
    """By waves, from 1, the targets of a rollout."""
    found: dict[int, list[TargetProgress]] = defaultdict(list)
    for one in it.targets.values():
        found[one.wave + 1].append(one)
    return dict(sorted(found.items()))
