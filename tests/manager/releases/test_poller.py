"""Asking registries what their tags name."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from tests.manager.releases.conftest import NOON, Clock
from tests.support.registry_fake import FakeRegistry, on, status
from tests.support.registry_push import Pusher

from tidegate.domain.webhook import Pushed as Hint
from tidegate.manager.releases.channels import follow, hinted, poll_soon
from tidegate.manager.releases.poller import Poller
from tidegate.manager.releases.removal import remove_channel
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.registry.client import RegistryClient

EVERY_S = 300.0


def poller(db: Database, client: RegistryClient, clock: Clock) -> Poller:
    return Poller(db, client, interval_s=EVERY_S, clock=clock, random=lambda: 0.5)


async def followed(db: Database, address: str, *tags: str, repository: str = "acme/web") -> list[int]:
    """Channels with a target each."""
    async with db.write() as conn:
        ids = [await follow(conn, f"{address}/{repository}", tag, NOON) for tag in tags]
        await target(conn, ids)
    return ids


async def target(conn: Any, ids: Sequence[int]) -> None:
    await conn.execute(insert(schema.agents).values(id="1", name="berlin1", public_key="", enrolled_at=NOON))
    cluster = {"name": "web@berlin1", "project": "web", "agent_id": "1", "created_at": NOON}
    made = (await conn.execute(insert(schema.clusters).values(cluster).returning(schema.clusters.c.id))).scalar_one()
    for number in ids:
        row = {"name": f"t{number}", "cluster_id": made, "service": "s", "channel_id": number, "seen_at": NOON}
        await conn.execute(insert(schema.targets).values(row))


async def poll(db: Database, one: Poller, clock: Clock) -> int:
    """Ask about all that is due now; how many that was."""
    async with db.write() as conn:
        jobs = await one.claim(conn, clock(), 100)
    await asyncio.gather(*(one.do(job) for job in jobs))
    return len(jobs)


async def channel(db: Database, number: int) -> Any:
    async with db.read() as conn:
        return (await conn.execute(select(schema.channels).where(schema.channels.c.id == number))).one()


async def digests(db: Database) -> list[str]:
    by = schema.releases.c.named_at.desc()
    async with db.read() as conn:
        return list((await conn.execute(select(schema.releases.c.digest).order_by(by))).scalars())


async def kinds(db: Database) -> list[str]:
    async with db.read() as conn:
        return list((await conn.execute(select(schema.feed.c.kind).order_by(schema.feed.c.number))).scalars())


async def test_what_is_pushed_becomes_a_release_at_the_next_poll(
    db: Database, client: RegistryClient, clock: Clock, real: Pusher
) -> None:
    repository, one = f"acme/{secrets.token_hex(4)}", poller(db, client, clock)
    first = await real.image(repository, "live", labels={"n": "1"})
    (number,) = await followed(db, real.url.removeprefix("http://"), "live", repository=repository)
    await poll(db, one, clock)
    second = await real.image(repository, "live", labels={"n": "2"})
    assert await poll(db, one, clock) == 0  # not before its time
    clock.forward(seconds=EVERY_S)
    await poll(db, one, clock)
    assert await digests(db) == [second.digest, first.digest]
    assert (await channel(db, number)).polled_at == clock()


async def test_a_channel_is_one_head_whatever_follows_it(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    fake.requests.clear()
    await followed(db, fake.address, "live")
    await poll(db, poller(db, client, clock), clock)
    assert [ask for ask in fake.requests if "manifests" in ask] == ["HEAD /v2/acme/web/manifests/live"]


async def test_a_channel_that_is_due_is_taken_by_one_of_several_replicas(
    db: Database, client: RegistryClient, clock: Clock
) -> None:
    ids = await followed(db, "reg.test", *(f"t{number}" for number in range(20)))

    async def take() -> list[int]:
        async with db.write() as conn:
            return [job.id for job in await poller(db, client, clock).claim(conn, clock(), 5)]

    taken = await asyncio.gather(*(take() for _ in range(8)))
    assert len([number for some in taken for number in some]) == len({number for some in taken for number in some})
    assert {number for some in taken for number in some} <= set(ids)
    async with db.write() as conn:
        left = await poller(db, client, clock).claim(conn, clock(), 100)
    assert len(left) + len([number for some in taken for number in some]) == 20


async def test_what_a_dead_replica_held_is_due_again_later(db: Database, client: RegistryClient, clock: Clock) -> None:
    await followed(db, "reg.test", "live")
    one = poller(db, client, clock)
    async with db.write() as conn:
        assert len(await one.claim(conn, clock(), 5)) == 1
        assert await one.claim(conn, clock() + timedelta(minutes=9), 5) == []
        assert len(await one.claim(conn, clock() + timedelta(minutes=11), 5)) == 1


async def test_a_hint_that_comes_while_the_registry_is_asked_is_not_lost(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    (number,) = await followed(db, fake.address, "live")
    one = poller(db, client, clock)
    async with db.write() as conn:
        (job,) = await one.claim(conn, clock(), 5)
    clock.forward(seconds=1)
    async with db.write() as conn:
        await poll_soon(conn, [number], clock())
    await one.do(job)
    assert (await channel(db, number)).poll_at == clock()


async def test_a_registry_that_asks_for_patience_is_left_alone_with_all_its_repositories(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    fake.faults.append(on("HEAD", "manifests", status(429, Retry_After="900")))
    ids = await followed(db, fake.address, *(f"t{number}" for number in range(12)))
    one = poller(db, client, clock)
    await poll(db, one, clock)
    asked = len([ask for ask in fake.requests if ask.startswith("HEAD")])
    assert asked <= 4  # as many as are asked at once
    rows = [await channel(db, number) for number in ids]
    assert min(row.poll_at for row in rows) >= clock() + timedelta(seconds=900)
    assert all("429" in row.trouble and f"web:{row.tag}:" in row.trouble for row in rows)
    clock.forward(seconds=600)
    async with db.write() as conn:
        await poll_soon(conn, ids, clock())  # a hint is no reason to break in
    await poll(db, one, clock)
    assert len([ask for ask in fake.requests if ask.startswith("HEAD")]) == asked
    rows = [await channel(db, number) for number in ids]
    assert max(row.poll_at for row in rows) <= NOON + timedelta(seconds=1000)


async def test_trouble_is_told_once_when_it_begins_and_once_when_it_is_over(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    (number,) = await followed(db, fake.address, "live")
    one, waits = poller(db, client, clock), []
    for _ in range(3):
        await poll(db, one, clock)
        row = await channel(db, number)
        waits.append((row.poll_at - clock()).total_seconds())
        clock.now = row.poll_at
    assert (row.failures, waits) == (3, [EVERY_S, 2 * EVERY_S, 4 * EVERY_S])
    assert "has no live of acme/web (404)" in row.trouble
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    await poll(db, one, clock)
    row = await channel(db, number)
    assert (row.failures, row.trouble) == (0, "")
    assert await kinds(db) == ["channel.trouble", "release.seen", "channel.answers"]


async def test_a_registry_with_a_failure_of_its_own_is_asked_again_soon_and_then_ever_later(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    fake.faults.append(on("HEAD", "manifests", status(503)))
    (number,) = await followed(db, fake.address, "live")
    one, waits = poller(db, client, clock), []
    for _ in range(12):
        await poll(db, one, clock)
        row = await channel(db, number)
        waits.append((row.poll_at - clock()).total_seconds())
        clock.now = row.poll_at
    assert waits == sorted(waits)
    assert waits[0] < 60 < EVERY_S < waits[-1] <= 3600


async def test_a_hint_for_a_registry_that_is_left_alone_is_no_failure_more(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    fake.faults.append(on("HEAD", "manifests", status(429, Retry_After="900")))
    (number,) = await followed(db, fake.address, "live")
    one = poller(db, client, clock)
    await poll(db, one, clock)
    for _ in range(6):
        clock.forward(seconds=10)
        async with db.write() as conn:
            await poll_soon(conn, [number], clock())
        assert await poll(db, one, clock) == 1
    row = await channel(db, number)
    assert (row.failures, await kinds(db)) == (1, ["channel.trouble"])
    assert row.poll_at >= NOON + timedelta(seconds=900)
    clock.now = row.poll_at
    await poll(db, one, clock)
    assert (await channel(db, number)).failures == 2


async def test_each_channel_of_a_registry_that_fails_has_failed_as_often_as_it(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    fake.faults.append(on("HEAD", "manifests", status(503)))
    ids = await followed(db, fake.address, *(f"t{number}" for number in range(12)))
    one = poller(db, client, clock)
    for times in (1, 2, 3):
        await poll(db, one, clock)
        rows = [await channel(db, number) for number in ids]
        assert {row.failures for row in rows} == {times}
        clock.now = max(row.poll_at for row in rows) + timedelta(seconds=1)


async def test_what_targets_follow_is_asked_about_again_after_the_interval(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    async with db.write() as conn:  # so that no channel has the number of its target
        await follow(conn, f"{fake.address}/acme/web", "nobody-follows", NOON + timedelta(days=9))
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    (number,) = await followed(db, fake.address, "live")
    await poll(db, poller(db, client, clock), clock)
    assert (await channel(db, number)).poll_at == NOON + timedelta(seconds=EVERY_S)


@pytest.mark.parametrize("how", ["gone", "cut off"])
async def test_what_no_target_follows_is_asked_about_once_a_day(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry, how: str
) -> None:
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    (number,) = await followed(db, fake.address, "live")
    async with db.write() as conn:
        change = update(schema.targets).values(gone_at=NOON)
        await conn.execute(change if how == "gone" else update(schema.agents).values(revoked_at=NOON))
    await poll(db, poller(db, client, clock), clock)
    assert (await channel(db, number)).poll_at == NOON + timedelta(days=1)


async def test_what_no_target_follows_is_asked_about_once_a_day_also_where_there_is_trouble(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    async with db.write() as conn:
        ids = [await follow(conn, f"{fake.address}/acme/{name}", "live", NOON) for name in ("a", "b")]
    fake.faults.append(on("HEAD", "acme/b", status(503)))
    await poll(db, poller(db, client, clock), clock)
    rows = [await channel(db, number) for number in ids]
    assert all(row.trouble for row in rows)
    assert [row.poll_at for row in rows] == [NOON + timedelta(days=1)] * 2


async def test_a_channel_that_was_taken_away_while_it_was_asked_about_does_not_come_back(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    await Pusher(f"http://{fake.address}").image("acme/web", "live")
    one = poller(db, client, clock)
    async with db.write() as conn:
        number = await follow(conn, f"{fake.address}/acme/web", "live", NOON)
        jobs = await one.claim(conn, clock(), 100)
    async with db.write() as conn:
        await remove_channel(conn, number)
    await asyncio.gather(*(one.do(job) for job in jobs))
    async with db.read() as conn:
        assert (await conn.execute(select(schema.channels.c.id))).all() == []


async def test_a_hint_has_a_channel_asked_at_once_and_makes_none(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pusher = Pusher(f"http://{fake.address}")
    await pusher.image("acme/web", "live", labels={"n": "1"})
    await followed(db, fake.address, "live")
    heard: asyncio.Queue[None] = asyncio.Queue()
    with db.bus.listening("releases", lambda _: heard.put_nowait(None)):
        running = asyncio.create_task(poller(db, client, clock).run())
        async with asyncio.timeout(60):
            await heard.get()
        second = await pusher.image("acme/web", "live", labels={"n": "2"})
        name = f"{fake.address}/acme/web"
        clock.forward(seconds=1)
        async with db.write() as conn:
            taken = await hinted(conn, [Hint(name, "live"), Hint(name, "other"), Hint("reg.test/x", "live")], clock())
        assert taken == (f"{name}:live",)
        async with asyncio.timeout(60):
            await heard.get()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await digests(db))[0] == second.digest
    async with db.read() as conn:
        assert len((await conn.execute(select(schema.channels))).all()) == 1
