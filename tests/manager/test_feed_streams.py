"""Following the feed: nothing is lost or doubled, whoever is slow is let go, and what was forgotten is told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, insert, update

from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.feed import tell, tell_all
from tidegate.manager.telling.feed_read import extent
from tidegate.manager.telling.pruning import FeedPruner
from tidegate.manager.telling.streams import Hub, Stream, StreamLimits, TooManyStreamsError

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
QUICK = StreamLimits(most=3, most_of_a_token=2, room=1000, beat_s=0.05, look_s=0.05)


def clock() -> datetime:
    return NOON


async def say(db: Database, *kinds: str) -> None:
    async with db.write() as conn:
        await tell_all(conn, [(kind, "rollout 1", {}) for kind in kinds], NOON)


async def add_token(db: Database, **values: object) -> int:
    async with db.write() as conn:
        row = {"hash": "h", "user": "ann", "role": "viewer", "created_at": NOON} | values
        return int((await conn.execute(insert(schema.tokens).values(row).returning(schema.tokens.c.id))).scalar_one())


@asynccontextmanager
async def running(
    db: Database, limits: StreamLimits = QUICK, stopping: asyncio.Event | None = None
) -> AsyncIterator[Hub]:
    hub = Hub(db, clock, stopping or asyncio.Event(), limits)
    task = asyncio.create_task(hub.run())
    yield hub
    task.cancel()
    await asyncio.wait([task])


class Reader:
    """A client: the numbers and the kinds that it was sent, and the id that it would resume from."""

    def __init__(self, hub: Hub, stream: Stream, after: int | None) -> None:
        self.numbers: list[int] = []
        self.kinds: list[str] = []
        self.id = -1
        self.texts = 0
        self._hub, self._stream, self._after = hub, stream, after
        self._change = asyncio.Condition()

    async def read(self) -> None:
        async for text in self._hub.follow(self._stream, self._after, await self._hub.extent()):
            async with self._change:
                self.texts += 1
                for message in text.split("\n\n"):
                    self._take(message)
                self._change.notify_all()

    def _take(self, message: str) -> None:
        fields = dict(line.split(": ", 1) for line in message.splitlines() if not line.startswith(":"))
        self.id = int(fields.get("id", self.id))
        if "data" in fields:
            self.kinds.append(fields["event"])
            self.numbers.append(json.loads(fields["data"])["id"])

    async def until(self, count: int) -> None:
        async with asyncio.timeout(40), self._change:
            await self._change.wait_for(lambda: len(self.numbers) >= count)

    async def more_texts(self, count: int) -> None:
        async with asyncio.timeout(40), self._change:
            wanted = self.texts + count
            await self._change.wait_for(lambda: self.texts >= wanted)


@asynccontextmanager
async def reading(hub: Hub, token: int, after: int | None = None, kinds: tuple[str, ...] = ()) -> AsyncIterator[Reader]:
    with hub.opened(token, kinds) as stream:
        reader = Reader(hub, stream, after)
        task = asyncio.create_task(reader.read())
        yield reader
        task.cancel()
        await asyncio.wait([task])


async def test_who_resumes_while_more_is_told_gets_everything_once_and_in_order(db: Database) -> None:
    token = await add_token(db)
    await say(db, *["rollout.state"] * 700)
    async with running(db) as hub, reading(hub, token, after=3) as reader:
        for _ in range(30):
            await say(db, "rollout.state", "target.seen")
        await reader.until(757)
    assert reader.numbers == list(range(4, 761))


async def test_without_an_id_it_is_told_what_comes_from_now_on(db: Database) -> None:
    token = await add_token(db)
    await say(db, "rollout.state", "rollout.state")
    async with running(db) as hub, reading(hub, token) as reader:
        await reader.more_texts(1)
        assert reader.id == 2
        await say(db, "target.seen")
        await reader.until(1)
    assert reader.numbers == [3]


async def test_a_filter_takes_kinds_by_their_beginning_and_still_moves_the_readers_id_on(db: Database) -> None:
    token = await add_token(db)
    await say(db, "rollout.state", "target.seen")
    async with running(db) as hub, reading(hub, token, 0, ("rollout.", "agent")) as reader:
        await say(db, "agent.refused", "rollout.wave", "target.seen")
        await reader.until(3)
        await reader.more_texts(2)
    assert (reader.kinds, reader.id) == (["rollout.state", "agent.refused", "rollout.wave"], 5)


@pytest.mark.parametrize("after", [1, 99])
async def test_an_id_that_is_forgotten_or_not_given_yet_is_answered_with_a_reset(db: Database, after: int) -> None:
    token = await add_token(db)
    await say(db, *["rollout.state"] * 10)
    await FeedPruner(db, clock, keep=timedelta(days=1), most=4).prune()
    async with running(db) as hub, reading(hub, token, after) as reader:
        await reader.until(1)
        await say(db, "target.seen")
        await reader.until(2)
    assert (reader.kinds, reader.numbers) == (["reset", "target.seen"], [10, 11])


async def test_the_oldest_that_is_still_there_needs_no_reset(db: Database) -> None:
    token = await add_token(db)
    await say(db, *["rollout.state"] * 10)
    await FeedPruner(db, clock, keep=timedelta(days=1), most=4).prune()
    async with running(db) as hub, reading(hub, token, 6) as reader:
        await reader.until(4)
    assert reader.numbers == [7, 8, 9, 10]


async def test_a_reader_that_does_not_fetch_is_let_go(db: Database) -> None:
    token = await add_token(db)
    async with running(db) as hub:
        with hub.opened(token, ()) as stream:
            texts = hub.follow(stream, None, await hub.extent())
            await anext(texts)
            await anext(texts)  # it follows live from now on, and fetches no more
            await say(db, *["rollout.state"] * 1100)
            async with reading(hub, token, 0) as other:
                await other.until(1100)
            left = [text async for text in texts]
        assert stream.ended == "it reads too slowly"
        assert sum(text.count("event: ") for text in left) <= 1000


async def test_streams_end_when_the_manager_stops(db: Database) -> None:
    token, stopping = await add_token(db), asyncio.Event()
    async with running(db, stopping=stopping) as hub:
        with hub.opened(token, ()) as stream:
            task = asyncio.create_task(Reader(hub, stream, None).read())
            stopping.set()
            async with asyncio.timeout(40):
                await task
        assert hub.dropped == {"the manager is stopping": 1}


@pytest.mark.parametrize("change", [{"revoked_at": NOON}, {"expires_at": NOON - timedelta(seconds=1)}])
async def test_streams_end_when_their_token_does(db: Database, change: dict[str, datetime]) -> None:
    token, other = await add_token(db), await add_token(db, hash="other")
    async with running(db) as hub, reading(hub, other) as stays:
        with hub.opened(token, ()) as stream:
            task = asyncio.create_task(Reader(hub, stream, None).read())
            async with db.write() as conn:
                await conn.execute(update(schema.tokens).where(schema.tokens.c.id == token).values(change))
            async with asyncio.timeout(40):
                await task
        await say(db, "rollout.state")
        await stays.until(1)


async def test_after_a_database_was_put_back_streams_end_and_later_ones_are_told_what_comes(db: Database) -> None:
    token = await add_token(db)
    await say(db, *["rollout.state"] * 10)
    async with running(db) as hub:
        with hub.opened(token, ()) as stream:
            task = asyncio.create_task(Reader(hub, stream, 10).read())
            while hub._position != 10 or stream not in hub._live:
                await asyncio.sleep(0)
            async with db.write() as conn:
                await conn.execute(delete(schema.feed))
                await conn.execute(update(schema.counters).values(value=0))
            async with asyncio.timeout(40):
                await task
        async with reading(hub, token, 0) as reader:
            await say(db, "target.seen")
            await reader.until(1)
    assert reader.numbers == [1]


async def test_after_an_earlier_database_was_put_back_nothing_moves_the_readers_id_back(db: Database) -> None:
    """By its id it learns, when it resumes, that there is less than it has seen."""
    token = await add_token(db)
    async with running(db) as hub:
        with hub.opened(token, ()) as stream:
            reader = Reader(hub, stream, 0)
            task = asyncio.create_task(reader.read())
            await reader.more_texts(1)
            await say(db, *["rollout.state"] * 10)
            await reader.until(10)
            async with db.write() as conn:
                await conn.execute(delete(schema.feed).where(schema.feed.c.number > 5))
                await conn.execute(update(schema.counters).where(schema.counters.c.name == "feed").values(value=5))
            async with asyncio.timeout(40):
                await task
    assert (reader.id, stream.ended) == (10, "the database is an earlier one")


async def test_who_is_let_go_is_handed_nothing_more() -> None:
    stream = Stream(1, (), room=10)
    stream.put(9, "id: 9\n\n")
    stream.end("the database is an earlier one")
    stream.put(6, "id: 6\n\n")
    assert await stream.fetch(0) == "id: 9\n\n"


async def test_there_are_so_many_streams_and_no_more(db: Database) -> None:
    async with running(db) as hub:
        with hub.opened(1, ()), hub.opened(1, ()):
            with pytest.raises(TooManyStreamsError, match="close one of them"), hub.opened(1, ()):
                pass
            with hub.opened(2, ()), pytest.raises(TooManyStreamsError, match="try again later"), hub.opened(3, ()):
                pass
        with hub.opened(1, ()):
            assert hub.count == 1


async def test_the_feed_is_pruned_by_age_and_by_count(db: Database) -> None:
    async with db.write() as conn:
        for day in range(10):
            await tell(conn, "rollout.state", "rollout 1", NOON - timedelta(days=9 - day))
    await FeedPruner(db, clock, keep=timedelta(days=5), most=100).prune()
    async with db.read() as conn:
        assert (await extent(conn)).forgotten == 4
    await FeedPruner(db, clock, keep=timedelta(days=5), most=2).prune()
    async with db.read() as conn:
        assert (await extent(conn)).forgotten == 8
    await FeedPruner(db, clock, keep=timedelta(0), most=100).prune()
    async with db.read() as conn:
        there = await extent(conn)
    assert (there.forgotten, there.last) == (9, 10)


async def test_pruning_in_several_steps_forgets_no_more_than_it_should(db: Database) -> None:
    await say(db, *["rollout.state"] * 5000)
    await FeedPruner(db, clock, keep=timedelta(days=5), most=500).prune()
    async with db.read() as conn:
        assert (await extent(conn)).forgotten == 4500
