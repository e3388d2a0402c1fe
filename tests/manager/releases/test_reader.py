"""What is known of a release after its registry was asked."""

import asyncio
import hashlib
import secrets
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from tests.manager.releases.conftest import NOON, Clock
from tests.support.registry_fake import FakeRegistry, on, status
from tests.support.registry_images import push_image
from tests.support.registry_push import Pusher

from tidegate.domain.channel import Release, newest
from tidegate.manager.releases.reader import Reader
from tidegate.manager.releases.sightings import seen
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.registry.client import RegistryClient

OCI = "org.opencontainers.image."
REVISION = "0123456789abcdef0123456789abcdef01234567"


async def told(db: Database, address: str, digest: str, *, repository: str = "acme/web", tag: str = "live") -> int:
    async with db.write() as conn:
        return await seen(conn, f"{address}/{repository}", tag, digest, NOON, "registry", NOON)


async def targets(db: Database, *rows: dict[str, Any]) -> None:
    """Targets of the only channel."""
    async with db.write() as conn:
        channel = (await conn.execute(select(schema.channels.c.id))).scalar_one()
        await conn.execute(insert(schema.agents).values(id="1", name="berlin1", public_key="", enrolled_at=NOON))
        cluster = {"name": "web@berlin1", "project": "web", "agent_id": "1", "created_at": NOON}
        made = await conn.execute(insert(schema.clusters).values(cluster).returning(schema.clusters.c.id))
        given = {"cluster_id": made.scalar_one(), "service": "s", "channel_id": channel, "seen_at": NOON}
        for number, row in enumerate(rows):
            await conn.execute(insert(schema.targets).values(given | {"name": f"t{number}"} | row))


async def read(db: Database, client: RegistryClient, clock: Clock) -> list[Any]:
    """Read all that is due; the releases afterwards."""
    one = Reader(db, client, clock=clock, random=lambda: 0.5)
    async with db.write() as conn:
        jobs = await one.claim(conn, clock(), 100)
    await asyncio.gather(*(one.do(job) for job in jobs))
    async with db.read() as conn:
        return list((await conn.execute(select(schema.releases).order_by(schema.releases.c.id))).all())


async def test_version_revision_source_and_size_are_read_from_the_registry(
    db: Database, client: RegistryClient, clock: Clock, real: Pusher
) -> None:
    repository = f"acme/{secrets.token_hex(4)}"
    labels = {OCI + "version": "7.2.1", OCI + "source": "https://github.com/acme/web", "team": "tide"}
    settings = {"Env": ["A=1", "API_TOKEN=swordfish"], "User": "app", "Labels": labels}
    pushed = await push_image(
        real,
        repository,
        "live",
        settings,
        layers=(700, 300),
        annotations={OCI + "revision": REVISION},
        created="2026-11-24T10:00:00+01:00",
    )
    await told(db, real.url.removeprefix("http://"), pushed.digest, repository=repository)
    (row,) = await read(db, client, clock)
    assert (row.version, row.revision, row.source) == ("7.2.1", REVISION, "https://github.com/acme/web")
    assert (row.size, row.image_created) == (1000, datetime(2026, 11, 24, 9, tzinfo=UTC))
    assert (row.labels["team"], row.read_at, row.read_again_at, row.trouble) == ("tide", NOON, None, "")
    config = row.configs["linux/amd64"]
    assert (config["User"], config["Env"][0], config["size"]) == ("app", "A=1", 1000)
    assert "swordfish" not in str(row.configs)


async def test_secrets_are_hashed_apart_from_the_loop_that_everybody_else_waits_for(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    scrypt = hashlib.scrypt

    def noted(*args: Any, **options: Any) -> bytes:
        threads.append(threading.get_ident())
        return scrypt(*args, **options)

    monkeypatch.setattr(hashlib, "scrypt", noted)
    settings = {"Env": [f"API_TOKEN={secrets.token_hex(8)}"]}
    pushed = await push_image(Pusher(f"http://{fake.address}"), "acme/web", "live", settings)
    await told(db, fake.address, pushed.digest)
    await read(db, client, clock)
    assert threads
    assert threading.get_ident() not in threads


async def test_of_an_index_the_platforms_that_targets_run_are_read_and_the_most_common_stands_for_it(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pusher = Pusher(f"http://{fake.address}")
    amd = await push_image(pusher, "acme/web", "a", {"User": "a"}, layers=(1,))
    arm = await push_image(pusher, "acme/web", "b", {"User": "b"}, layers=(2,), platform="linux/arm64")
    digest = await pusher.index("acme/web", "live", [amd.descriptor, arm.descriptor])
    await told(db, fake.address, digest)
    arms = {"platform": "linux/arm64"}
    await targets(db, arms, arms, {"platform": "linux/amd64"}, {"platform": "linux/s390x"})
    (row,) = await read(db, client, clock)
    assert {name: config["User"] for name, config in row.configs.items()} == {"linux/amd64": "a", "linux/arm64": "b"}
    assert (row.size, row.trouble) == (2, "it is not made for linux/s390x")


async def test_an_image_that_is_made_for_none_of_the_platforms_is_told_so_and_not_read_again(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pusher = Pusher(f"http://{fake.address}")
    arm = await push_image(pusher, "acme/web", "b", {}, platform="linux/arm64")
    await told(db, fake.address, await pusher.index("acme/web", "live", [arm.descriptor]))
    (row,) = await read(db, client, clock)
    assert "does not exist for linux/amd64, only for linux/arm64" in row.trouble
    assert row.read_again_at is None


async def test_content_that_is_not_what_its_digest_says_is_not_taken(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pushed = await push_image(Pusher(f"http://{fake.address}"), "acme/web", "live", {"User": "app"})
    fake.blobs[pushed.config_digest] = fake.blobs[pushed.config_digest].replace(b"app", b"ppa")
    await told(db, fake.address, pushed.digest)
    (row,) = await read(db, client, clock)
    assert "wrong digest" in row.trouble
    assert (row.configs, row.read_at) == ({}, None)


async def test_what_cannot_be_read_is_tried_ever_later_and_at_last_no_more(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pushed = await push_image(Pusher(f"http://{fake.address}"), "acme/web", "live", {"User": "app"})
    del fake.blobs[pushed.config_digest]
    await told(db, fake.address, pushed.digest)
    waits = []
    while (row := (await read(db, client, clock))[0]).read_again_at is not None:
        waits.append((row.read_again_at - clock()).total_seconds())
        clock.now = row.read_again_at
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (30, 3600)
    assert timedelta(days=7) < clock() - NOON < timedelta(days=8)
    assert "404" in row.trouble


async def test_a_registry_that_asks_for_patience_is_not_asked_for_other_releases_either(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    fake.faults.append(on("GET", "manifests", status(429, Retry_After="5000")))
    await told(db, fake.address, "sha256:" + "a" * 64)
    one = Reader(db, client, clock=clock)
    async with db.write() as conn:
        (job,) = await one.claim(conn, clock(), 9)
    await one.do(job)
    asked = len(fake.requests)
    clock.forward(seconds=4000)
    await one.do(job)
    assert len(fake.requests) == asked
    async with db.read() as conn:
        again = (await conn.execute(select(schema.releases.c.read_again_at))).scalar_one()
    assert again >= NOON + timedelta(seconds=5000)


@pytest.mark.parametrize(
    "labelled",
    [
        ({OCI + "version": "7.2.1"}, "v7.2.1"),
        ({OCI + "revision": REVISION}, f"sha-{REVISION[:7]}"),
        ({OCI + "version": "main"}, "main"),
    ],
)
async def test_a_fixed_tag_is_found_where_builders_give_one(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry, labelled: tuple[dict[str, str], str]
) -> None:
    labels, tag = labelled
    pusher = Pusher(f"http://{fake.address}")
    pushed = await push_image(pusher, "acme/web", tag, {"Labels": labels})
    await told(db, fake.address, pushed.digest)
    (row,) = await read(db, client, clock)
    assert row.fixed_tag == ("" if tag == "main" else tag)


async def test_a_tag_that_names_something_else_by_now_is_not_a_fixed_one(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pusher = Pusher(f"http://{fake.address}")
    pushed = await push_image(pusher, "acme/web", "live", {"Labels": {OCI + "version": "7.2.1"}})
    await push_image(pusher, "acme/web", "7.2.1", {"Labels": {OCI + "version": "7.2.1"}, "User": "other"})
    await told(db, fake.address, pushed.digest)
    (row,) = await read(db, client, clock)
    assert row.fixed_tag == ""


async def test_what_targets_run_already_is_read_too_and_never_in_front(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pusher = Pusher(f"http://{fake.address}")
    old = await push_image(pusher, "acme/web", "live", {"User": "old"})
    new = await push_image(pusher, "acme/web", "live", {"User": "new"})
    await told(db, fake.address, new.digest)
    await targets(db, {"digest": old.digest}, {"digest": old.digest}, {"digest": ""}, {"digest": "nonsense"})
    await read(db, client, clock)
    rows = await read(db, client, clock)
    known = [Release(row.digest, row.seen_at, row.named_at) for row in rows]
    assert [row.configs["linux/amd64"]["User"] for row in rows] == ["new", "old"]
    assert newest(known) == known[0]


async def test_what_is_due_is_read_as_it_is_told(db: Database, client: RegistryClient, fake: FakeRegistry) -> None:
    pushed = await push_image(Pusher(f"http://{fake.address}"), "acme/web", "live", {"User": "app"})
    heard: asyncio.Queue[None] = asyncio.Queue()
    running = asyncio.create_task(Reader(db, client).run())
    await asyncio.sleep(0)  # it listens
    with db.bus.listening("feed", lambda _: heard.put_nowait(None)):
        await told(db, fake.address, pushed.digest)
        async with asyncio.timeout(60):
            await heard.get()  # seen
            await heard.get()  # read
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    async with db.read() as conn:
        read_at = select(func.count()).where(schema.releases.c.read_at.is_not(None))
        assert (await conn.execute(read_at)).scalar() == 1


async def test_a_release_that_was_asked_to_be_read_again_meanwhile_is_read_again(
    db: Database, client: RegistryClient, clock: Clock, fake: FakeRegistry
) -> None:
    pushed = await push_image(Pusher(f"http://{fake.address}"), "acme/web", "live", {})
    await told(db, fake.address, pushed.digest)
    one = Reader(db, client, clock=clock)
    async with db.write() as conn:
        (job,) = await one.claim(conn, clock(), 9)
    async with db.write() as conn:
        await conn.execute(update(schema.releases).values(read_again_at=NOON))
    await one.do(job)
    async with db.read() as conn:
        assert (await conn.execute(select(schema.releases.c.read_again_at))).scalar_one() == NOON
