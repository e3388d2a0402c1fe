"""What `tidegate top` shows, read from the manager's documents, and how a person looks at it."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tidegate.cli.fleet.client import Manager, Value
from tidegate.cli.fleet.model import Document, Rollout, read_rollout

UNDER_WAY: Final = ("running", "rolling_back", "paused")
MOST_ROLLOUTS: Final = 8
"""So many are shown with their waves; the others are counted."""
MOST_CLUSTERS: Final = 500
"""What the manager gives at once."""


@dataclass(frozen=True, slots=True)
class StandingCluster:
    """A cluster, how it stands and why."""

    name: str
    standing: str
    why: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for somebody, and since when, as the manager tells it."""

    text: str
    since: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which clusters are asked for: those with these words, without so many of the worst, and how many at most."""

    words: str = ""
    skip: int = 0
    limit: int = MOST_CLUSTERS


@dataclass(frozen=True, slots=True)
class Facts:
    """The fleet at one moment. `clusters` are some of the `matching` ones, after `skipped` that stand worse."""

    online: int = 0
    offline: int = 0
    targets: int = 0
    alerts: int = 0
    under_way: int = 0
    waiting: tuple[Waiting, ...] = ()
    waiting_count: int = 0
    rollouts: tuple[Rollout, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    total: int = 0
    matching: int = 0
    skipped: int = 0
    clusters: tuple[StandingCluster, ...] = ()

    def cluster(self, at: int) -> StandingCluster | None:
        """The one in this place of those that match; None: it was not asked for."""
        within = at - self.skipped
        return self.clusters[within] if 0 <= within < len(self.clusters) else None


@dataclass(frozen=True, slots=True)
class Look:
    """How somebody looks at it: from which manager, since when in vain, narrowed down to what, from where on.

    `typing`: the words are being written. `note`: what went wrong last.
    """

    manager: str
    facts: Facts
    lost_since: str = ""
    note: str = ""
    words: str = ""
    typing: bool = False
    offset: int = 0

    def scrolled(self, by: int, rows: int) -> "Look":
        """Further down or up, and no further than there is something."""
        return replace(self, offset=max(0, min(self.offset + by, self.facts.matching - rows)))


async def ask(manager: Manager, asked: Asked) -> Document:
    """The documents that it takes, as the manager gave them."""
    clusters: dict[str, Value] = {"q": asked.words or None, "skip": asked.skip, "limit": asked.limit}
    status, overview, listed = await _together(
        manager.get("status"),
        manager.get("overview", **clusters),
        manager.get("rollouts", state=UNDER_WAY, limit=MOST_ROLLOUTS),
    )
    items = listed.document["items"]
    rollouts = await _together(*(manager.get("rollouts", one["id"]) for one in items))
    return {
        "status": status.document,
        "overview": overview.document,
        "rollouts": [one.document for one in rollouts],
    }


def read_facts(document: Document, skipped: int = 0) -> Facts:
    """The documents as they are shown; what is missing is read as empty."""
    status, overview = document.get("status") or {}, document.get("overview") or {}
    states, agents = status.get("rollouts") or {}, status.get("agents") or {}
    kinds: Sequence[Document] = overview.get("attention") or ()
    return Facts(
        online=agents.get("online", 0),
        offline=agents.get("offline", 0),
        targets=status.get("targets", 0),
        alerts=status.get("alerts_open", 0),
        under_way=sum(states.get(one, 0) for one in UNDER_WAY),
        waiting=tuple(_waiting(one) for kind in kinds for one in kind.get("items") or ()),
        waiting_count=sum(kind.get("count", 0) for kind in kinds),
        rollouts=tuple(read_rollout(one) for one in document.get("rollouts") or ()),
        counts=overview.get("counts") or {},
        total=overview.get("total", 0),
        matching=overview.get("matching", 0),
        skipped=skipped,
        clusters=tuple(_cluster(one) for one in overview.get("clusters") or ()),
    )


def _waiting(it: Document) -> Waiting:
    return Waiting(str(it.get("text") or ""), str(it.get("since") or ""))


def _cluster(it: Document) -> StandingCluster:
    name, standing, why = (str(it.get(one) or "") for one in ("name", "standing", "why"))
    return StandingCluster(name, standing, why, tuple(map(str, it.get("versions") or ())))


async def _together(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """All of it at once; where one fails, nothing of the others is left under way."""
    tasks = [asyncio.ensure_future(one) for one in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
