"""Which windows and freezes hold for which target, and whether they let it through now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.cron import occurrences
from tidegate.domain.channel_policy import ChannelPolicy
from tidegate.domain.windows import Freeze, Gate, Window, gate, parse_freeze, parse_window
from tidegate.manager.store.schema import freezes, windows


@dataclass(frozen=True, slots=True)
class Scope:
    """What a window or a freeze is about; what is empty says nothing."""

    channels: frozenset[int] = frozenset()
    clusters: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Scope":
        """From its column."""
        return cls(
            frozenset(document.get("channels", ())),
            frozenset(document.get("clusters", ())),
            dict(document.get("labels", {})),
        )

    def holds(self, channel: int, cluster: str, labels: Mapping[str, str]) -> bool:
        """Whether a target of this channel, in this cluster with these labels, is meant."""
        if self.channels and channel not in self.channels:
            return False
        if self.clusters and cluster not in self.clusters:
            return False
        return self.labels.items() <= labels.items()

    def meets(self, other: "Scope") -> bool:
        """Whether a target may be meant by both."""
        for here, there in ((self.channels, other.channels), (self.clusters, other.clusters)):
            if here and there and here.isdisjoint(there):
                return False
        return all(other.labels.get(name, value) == value for name, value in self.labels.items())


@dataclass(frozen=True, slots=True)
class Calendar:
    """Every window, and every freeze that is not over."""

    windows: Sequence[tuple[Scope, Window]] = ()
    freezes: Sequence[tuple[Scope, Freeze]] = ()

    def gates(
        self, policy: ChannelPolicy, channel: int, places: Iterable[tuple[str, str, Mapping[str, str]]], now: datetime
    ) -> dict[str, Gate]:
        """The gates of targets: `places` has their name, their cluster's name and its labels.

        The channel's own windows and those for the target are all open windows to it; one freeze closes it.
        """
        own = tuple(parse_window(one) for one in policy.windows)
        frozen = tuple(parse_freeze(one) for one in policy.freezes)
        known: dict[tuple[tuple[Window, ...], tuple[Freeze, ...]], Gate] = {}
        found = {}
        for name, cluster, labels in places:
            some = own + tuple(one for scope, one in self.windows if scope.holds(channel, cluster, labels))
            none = frozen + tuple(one for scope, one in self.freezes if scope.holds(channel, cluster, labels))
            if (some, none) not in known:
                known[some, none] = gate(now, some, none, occurrences)
            found[name] = known[some, none]
        return found


async def calendar(conn: AsyncConnection, now: datetime) -> Calendar:
    """What there is of windows and freezes."""
    some = await conn.execute(select(windows.c.scope, windows.c.window).order_by(windows.c.id))
    none = await conn.execute(select(freezes).where(freezes.c.ends_at > now).order_by(freezes.c.id))
    return Calendar(
        [(Scope.of(one.scope), parse_window(one.window)) for one in some],
        [(Scope.of(one.scope), Freeze(one.starts_at, one.ends_at, one.reason, one.name)) for one in none],
    )
