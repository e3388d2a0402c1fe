"""Batches of events: those that arrive together are applied in one transaction, each exactly once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import structlog
from sqlalchemy import bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.inventories import Snapshot, take_in_inventories
from tidegate.manager.agents.known import Agent
from tidegate.manager.agents.new_names import NewNames, TooManyNewError, count_new
from tidegate.manager.agents.sighted import Seen, Sighted, take_in_sightings
from tidegate.manager.agents.told import Told, take_in_told
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import agents, clusters, targets
from tidegate.manager.telling.feed import tell_all
from tidegate.protocol.events import Event, Inventory, Refusal, Report, Sighting
from tidegate.protocol.messages import EventsRequest

Clock = Callable[[], datetime]
_log = structlog.get_logger(__name__)


class GapError(Exception):
    """Events are missing before those of a batch; `expected` is the number of the first of them."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"event {expected} is missing")
        self.expected = expected


class CutOffError(Exception):
    """The agent was revoked, so nothing of it is applied."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What an agent has sent."""

    agent: Agent
    request: EventsRequest


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Of a batch, the events that were not applied yet; `last` is the number of the last event."""

    batch: Batch
    events: tuple[Event, ...]
    last: int


class Intake:
    """Applies batches. `heard_of` is told, after a transaction, of which rollouts it had news.

    `names` is how much that is new agents may name.
    """

    def __init__(
        self, db: Database, clock: Clock, seen: Seen, heard_of: Callable[[set[int]], None], names: NewNames
    ) -> None:
        self._db = db
        self._names = names
        self._clock = clock
        self._seen = seen
        self._heard_of = heard_of

    async def __call__(self, batches: Sequence[Batch]) -> list[int | Exception]:
        """For each batch the number of the last event applied, or why it was not. Never raises."""
        results: dict[int, int | Exception] = {}
        left = list(enumerate(batches))
        while left:
            together = {one.agent.id: (index, one) for index, one in reversed(left)}  # one of each agent
            some = sorted(together.values(), key=lambda pair: pair[0])
            left = [pair for pair in left if pair not in some]
            done = await self._together([one for _, one in some])
            results.update(zip((index for index, _ in some), done, strict=True))
        return [results[index] for index in range(len(batches))]

    async def _together(self, batches: Sequence[Batch]) -> Sequence[int | Exception]:
        """One that cannot be applied does not take the others with it."""
        try:
            return await self._apply(batches)
        except StoreUnavailableError as error:
            if error.for_all or len(batches) == 1:
                return [error] * len(batches)
        except Exception as error:  # noqa: BLE001 - it is raised to whose batch it was
            _log.exception("events cannot be applied", agents=[one.agent.name for one in batches][:10])
            if len(batches) == 1:
                return [error]
        return [(await self._together([one]))[0] for one in batches]

    async def _apply(self, batches: Sequence[Batch]) -> list[int | Exception]:
        now, news, taken = self._clock(), set[int](), dict[str, int]()
        try:
            async with self._db.write() as conn:
                at = await _positions(conn, [one.agent.id for one in batches])
                found = await self._admitted(conn, [_fresh(one, at.get(one.agent.id)) for one in batches], taken)
                fresh = [one for one in found if isinstance(one, _Fresh) and one.batch.request.events]
                if fresh:
                    news = await self._take_in(conn, fresh, now)
        except BaseException:
            self._names.give_back(taken)
            raise
        self._heard_of(news)
        return [one.last if isinstance(one, _Fresh) else one for one in found]

    async def _admitted(
        self, conn: AsyncConnection, found: Sequence[_Fresh | Exception], taken: dict[str, int]
    ) -> list[_Fresh | Exception]:
        """The same, but for batches with too much that is new; `taken` gets what is taken of agents' buckets."""
        told = {
            one.batch.agent.id: [it for event in one.events if isinstance(event, Inventory) for it in event.targets]
            for one in found
            if isinstance(one, _Fresh)
        }
        new = await count_new(conn, {agent: some for agent, some in told.items() if some})
        admitted = list[_Fresh | Exception]()
        for one in found:
            try:
                if isinstance(one, _Fresh) and (count := new.get(one.batch.agent.id, 0)):
                    self._names.take(one.batch.agent.id, count)
                    taken[one.batch.agent.id] = count
                admitted.append(one)
            except TooManyNewError as error:
                admitted.append(error)
        return admitted

    async def _take_in(self, conn: AsyncConnection, fresh: Sequence[_Fresh], now: datetime) -> set[int]:
        await _hold_targets(conn, [one.batch.agent.id for one in fresh])
        told = [word for one in fresh for word in _words(one)]
        feed, news = await take_in_told(conn, told, now)
        for round_ in _rounds(fresh):
            said, waiting = await take_in_inventories(conn, round_, now)
            feed, news = [*feed, *said], news | waiting
        await _advance(conn, fresh)  # before anything is told: who decides rollouts tells the feed last, too
        await _note_updaters(conn, fresh)  # whose rows are held by now
        sighted = [Sighted(one.batch.agent, it) for one in fresh for it in one.events if isinstance(it, Sighting)]
        if sighted:
            await take_in_sightings(conn, sighted, now, self._seen)
        await tell_all(conn, feed, now)
        return news


def _words(fresh: _Fresh) -> Iterator[Told]:
    """What a batch says of assignments, each with the targets that were told before it."""
    there: frozenset[str] | None = None
    for event in fresh.events:
        if isinstance(event, Inventory):
            there = frozenset(one.target for one in event.targets)
        elif isinstance(event, Report | Refusal):
            yield Told(fresh.batch.agent, event, there)


def _rounds(fresh: Sequence[_Fresh]) -> list[list[Snapshot]]:
    """Inventories, one of each agent at a time, in the order in which the agent told them."""
    rounds: list[list[Snapshot]] = []
    for one in fresh:
        whole = [event for event in one.events if isinstance(event, Inventory)]
        for number, event in enumerate(whole):
            if number == len(rounds):
                rounds.append([])
            agent = one.batch.agent
            rounds[number].append(Snapshot(agent.id, agent.name, event.targets))
    return rounds


def _fresh(batch: Batch, position: tuple[str, int] | None) -> _Fresh | Exception:
    """What of a batch is new. A stream that is not known yet may begin anywhere."""
    if position is None:
        return CutOffError()
    request, (stream, applied) = batch.request, position
    if request.stream != stream:
        applied = request.first - 1
    if request.first > applied + 1:
        if not request.skipped:
            return GapError(applied + 1)
        applied = request.first - 1
    events = request.events[applied + 1 - request.first :]
    return _Fresh(batch, events, applied + len(events))


async def _positions(conn: AsyncConnection, ids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """How far agents' streams were taken in. Nobody else applies events of these agents until the transaction ends."""
    if conn.dialect.name == "postgresql":
        await conn.execute(_TURN, {"ids": list(ids)})
    columns = agents.c.id, agents.c.stream, agents.c.applied
    there = agents.c.id.in_(ids), agents.c.revoked_at.is_(None)
    return {row.id: (row.stream, row.applied) for row in await conn.execute(select(*columns).where(*there))}


async def _hold_targets(conn: AsyncConnection, agent_ids: Sequence[str]) -> None:
    """Who decides rollouts holds targets, then their assignments, then agents' rows; so do we, in the same order."""
    if conn.dialect.name == "postgresql":
        these = select(clusters.c.id).where(clusters.c.agent_id.in_(agent_ids))
        held = select(targets.c.id).where(targets.c.cluster_id.in_(these)).order_by(targets.c.id)
        await conn.execute(held.with_for_update(key_share=True))


async def _note_updaters(conn: AsyncConnection, fresh: Sequence[_Fresh]) -> None:
    """What the last inventory of each says of who updates in the agent's place, where that is another than before."""
    told = {
        one.batch.agent.id: None if event.updater is None else asdict(event.updater)
        for one in fresh
        for event in one.events
        if isinstance(event, Inventory)
    }
    if not told:
        return
    known = await conn.execute(select(agents.c.id, agents.c.updater).where(agents.c.id.in_(told)))
    news = sorted(row.id for row in known if row.updater != told[row.id])
    if news:
        await conn.execute(_UPDATER, [{"which": id_, "counts": told[id_]} for id_ in news])


async def _advance(conn: AsyncConnection, fresh: Sequence[_Fresh]) -> None:
    rows = [
        {"which": one.batch.agent.id, "named": one.batch.request.stream, "upto": one.last}
        for one in sorted(fresh, key=lambda one: one.batch.agent.id)
    ]
    await conn.execute(_ADVANCE, rows)


# A lock of its own and not the agent's row, which is held last.
_TURN = text(
    "SELECT pg_advisory_xact_lock(turn.key) FROM (SELECT hashtextextended('tidegate events ' || id, 0) AS key "
    "FROM unnest(CAST(:ids AS text[])) AS these(id) ORDER BY 1) AS turn"
)
_UPDATER = update(agents).where(agents.c.id == bindparam("which")).values(updater=bindparam("counts"))
_ADVANCE = (
    update(agents).where(agents.c.id == bindparam("which")).values(stream=bindparam("named"), applied=bindparam("upto"))
)
