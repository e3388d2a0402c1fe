"""How many targets and channels agents may add: each stays in the database, also once it is gone or unfollowed."""

import math
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.followed import channel_name, known_channels
from tidegate.manager.api.limits import RateLimit
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import clusters, targets
from tidegate.protocol.events import InventoryTarget

_FULL_AGAIN_S = 3600.0


class TooManyNewError(Exception):
    """An agent names more that is new than is taken of it now; in `wait_s` it is taken."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many new names; there is room in {wait_s} s")
        self.wait_s = wait_s


class NewNames:
    """A bucket of new names for each agent, filled again within an hour.

    It has room for what an agent may tell at once: all its targets, each with a channel of its own.
    """

    def __init__(self, most_targets: int, *, clock: Callable[[], float] = monotonic) -> None:
        most = 2.0 * most_targets
        self._left = RateLimit(most / _FULL_AGAIN_S, burst=most, clock=clock)

    def take(self, agent: str, count: int) -> None:
        """Take so many. Raises `TooManyNewError`."""
        wait_s = math.ceil(self._left.take(agent, count)) if count else 0
        if wait_s:
            raise TooManyNewError(wait_s)

    def give_back(self, counts: Mapping[str, int]) -> None:
        """What was taken by these agents was not written."""
        for agent, count in counts.items():
            self._left.give_back(agent, count)


async def count_new(conn: AsyncConnection, told: Mapping[str, Sequence[InventoryTarget]]) -> dict[str, int]:
    """By agents' ids, how many of the targets that they tell, and of the channels of these, are not known yet."""
    there: dict[str, set[str]] = {agent: set() for agent in told}
    for some in pieces(sorted(told)):
        statement = (
            select(clusters.c.agent_id, clusters.c.project, targets.c.service)
            .join(targets, targets.c.cluster_id == clusters.c.id)
            .where(clusters.c.agent_id.in_(some))
        )
        for one in await conn.execute(statement):
            there[one.agent_id].add(f"{one.project}/{one.service}")
    followed = {agent: {channel_name(one) for one in some} - {None} for agent, some in told.items()}
    known = await known_channels(conn, {name for names in followed.values() for name in names if name is not None})
    return {
        agent: len({one.target for one in some} - there[agent]) + len(followed[agent] - known.keys())
        for agent, some in told.items()
    }
