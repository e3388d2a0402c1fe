"""Which releases there are after what was told of them, by whoever, in whatever order."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tidegate.manager.releases.sightings import REGISTRY, placed, seen
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
OLD, NEW = ("sha256:" + letter * 64 for letter in "ab")
NAME = "reg.test/acme/web"


def minutes(count: float) -> datetime:
    return NOON + timedelta(minutes=count)


async def tell(db: Database, digest: str, at: datetime, told_by: str = REGISTRY, now: datetime | None = None) -> int:
    async with db.write() as conn:
        return await seen(conn, NAME, "live", digest, at, told_by, now or at)


async def order(db: Database) -> list[str]:
    """The digests of the channel, the newest first."""
    by = (schema.releases.c.named_at.desc(), schema.releases.c.seen_at.desc())
    async with db.read() as conn:
        return list((await conn.execute(select(schema.releases.c.digest).order_by(*by))).scalars())


async def kinds(db: Database) -> list[str]:
    async with db.read() as conn:
        return list((await conn.execute(select(schema.feed.c.kind).order_by(schema.feed.c.number))).scalars())


async def answered(db: Database, at: datetime) -> None:
    """The registry answered a poll."""
    async with db.write() as conn:
        await conn.execute(schema.channels.update().values(polled_at=at))


async def test_a_release_is_one_by_whoever_and_however_often_at_once_it_is_told(db: Database) -> None:
    told = [(digest, f"agent {number}") for number in range(10) for digest in (OLD, NEW)]
    ids = await asyncio.gather(*(tell(db, digest, NOON, who) for digest, who in told))
    assert len(set(ids)) == 2
    assert sorted(await order(db)) == [OLD, NEW]
    assert await kinds(db) == ["release.seen"] * 2
    async with db.read() as conn:
        assert len((await conn.execute(select(schema.channels))).all()) == 1


async def test_a_new_release_is_told_to_who_listens_and_is_to_be_read_and_chosen(db: Database) -> None:
    heard: list[tuple[str, ...]] = []
    with db.bus.listening("releases", lambda keys: heard.append(tuple(keys))):
        made = await tell(db, NEW, NOON, "agent berlin1")
        await tell(db, NEW, minutes(1), "agent berlin2")
    async with db.read() as conn:
        release = (await conn.execute(select(schema.releases))).one()
        channel = (await conn.execute(select(schema.channels))).one()
        event = (await conn.execute(select(schema.feed))).one()
    assert heard == [(str(channel.id),)]
    assert (release.id, release.told_by, release.seen_at, release.read_again_at) == (made, "agent berlin1", NOON, NOON)
    assert (channel.name, channel.plan_at, channel.poll_at) == (f"{NAME}:live", NOON, NOON)
    assert (event.subject, event.data["channel"], event.data["digest"]) == (f"release {made}", channel.name, NEW)


async def test_a_tag_that_is_moved_back_names_the_earlier_release_again(db: Database) -> None:
    first = await tell(db, OLD, NOON)
    await tell(db, NEW, minutes(1))
    assert await tell(db, OLD, minutes(2)) == first
    assert await order(db) == [OLD, NEW]
    assert await kinds(db) == ["release.seen", "release.seen", "release.named"]


async def test_a_tag_that_goes_on_naming_a_release_moves_nothing(db: Database) -> None:
    await tell(db, NEW, NOON)
    await tell(db, NEW, minutes(5))
    async with db.read() as conn:
        assert (await conn.execute(select(schema.releases.c.named_at))).scalars().all() == [NOON]


async def test_what_is_told_late_is_an_earlier_release(db: Database) -> None:
    await tell(db, NEW, minutes(2))
    await tell(db, OLD, minutes(1), "agent berlin1", now=minutes(3))
    assert await order(db) == [NEW, OLD]


async def test_an_agents_word_is_not_put_before_a_later_answer_of_the_registry(db: Database) -> None:
    await tell(db, OLD, NOON)
    await tell(db, NEW, minutes(1))
    await answered(db, minutes(10))
    await tell(db, OLD, minutes(9), "agent berlin1", now=minutes(11))
    assert await order(db) == [NEW, OLD]
    await tell(db, OLD, minutes(12), "agent berlin1")
    assert await order(db) == [OLD, NEW]


async def test_an_agent_whose_clock_is_ahead_does_not_fix_a_release_in_front(db: Database) -> None:
    await tell(db, OLD, minutes(500), "agent berlin1", now=NOON)
    await tell(db, NEW, minutes(1))
    assert await order(db) == [NEW, OLD]


async def test_releases_of_other_channels_are_others(db: Database) -> None:
    await tell(db, NEW, NOON)
    async with db.write() as conn:
        await seen(conn, NAME, "next", NEW, NOON, REGISTRY, NOON)
    assert await order(db) == [NEW, NEW]


TIMES = st.integers(0, 50).map(minutes)


@given(TIMES, TIMES, st.none() | TIMES, st.sampled_from([REGISTRY, "agent berlin1"]))
def test_a_release_is_in_front_exactly_if_it_counts_as_named_later(
    at: datetime, newest: datetime, polled_at: datetime | None, told_by: str
) -> None:
    named_at, in_front = placed(at, newest, polled_at, told_by)
    assert in_front == (named_at > newest)
    assert named_at <= at


@pytest.mark.parametrize("told_by", [REGISTRY, "agent berlin1"])
def test_the_first_release_of_a_channel_is_in_front_whenever_it_was_seen(told_by: str) -> None:
    assert placed(NOON, None, minutes(5), told_by) == (NOON, True)
