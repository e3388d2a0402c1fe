"""Versions over time: which of a channel are told apart, in which order, and how they look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.console.words import release
from tidegate.manager.store.schema import releases

MOST = 6
"""So many of a channel are told apart; the others are one."""
_OTHERS = "others"
_LOOKS = ("v0", "v2", "v3", "v5", "v1", "newest")
"""Of the oldest to the newest; red says that something is wrong."""


@dataclass(frozen=True, slots=True)
class Version:
    """One of a channel, and how many targets ran it at the end of each day; `looks` is its colour's name."""

    name: str
    digest: str
    looks: str
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Names:
    """By channels and digests, the number of a release, which grows with time, and its version."""

    known: Mapping[tuple[int, str], tuple[int, str]]

    def versions(self, channel: int, counts: Mapping[str, Sequence[int]]) -> list[Version]:
        """Those that ran most, the oldest first, and what else ran."""
        ran = [one for one in counts if any(counts[one])]
        most = sorted(ran, key=lambda one: (-sum(counts[one]), one))
        shown = sorted(most[:MOST], key=lambda one: (self.known.get((channel, one), (0, ""))[0], one))
        looks = _LOOKS[MOST - len(shown) :]
        found = [
            Version(release(self.known.get((channel, one), (0, ""))[1], one), one, look, counts[one])
            for one, look in zip(shown, looks, strict=True)
        ]
        rest = most[MOST:]
        if not rest:
            return found
        others = [sum(some) for some in zip(*(counts[one] for one in rest), strict=True)]
        return [Version(f"{len(rest)} {_OTHERS}", "", _OTHERS, others), *found]


async def named(conn: AsyncConnection, channels: Sequence[int]) -> Names:
    """What the releases of these channels are called."""
    columns = (releases.c.channel_id, releases.c.digest, releases.c.id, releases.c.version)
    rows = await conn.execute(select(*columns).where(releases.c.channel_id.in_(channels)))
    return Names({(one.channel_id, one.digest): (one.id, one.version) for one in rows})
