"""Metrics: right, bounded however large the fleet, and there when the database is not."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, select
from tests.support import databases
from tests.support.fleet_rows import NOON, Fleet, add, change, digest
from tests.support.manager import People, people, serving

from tidegate.manager.releases.removal import remove_channel
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.telling.delivery import Deliverer
from tidegate.manager.telling.metric_facts import MOST_CHANNELS, MOST_VERSIONS, bounded
from tidegate.manager.telling.metrics import Metrics
from tidegate.manager.telling.streams import Hub

Samples = dict[str, dict[tuple[str, ...], float]]


def read(text: bytes | str) -> Samples:
    """Samples by name, and by the values of their labels in the order of the labels' names."""
    found: Samples = defaultdict(dict)
    for family in text_string_to_metric_families(text if isinstance(text, str) else text.decode()):
        for sample in family.samples:
            found[sample.name][tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


def make(db: Database) -> Metrics:
    return Metrics(db, lambda: NOON, Hub(db, lambda: NOON, asyncio.Event()), Deliverer(db, lambda: NOON, []))


async def scraped(db: Database) -> Samples:
    return read(await make(db).exposition())


async def test_an_empty_manager_has_every_state_at_nought(db: Database) -> None:
    found = await scraped(db)
    assert found["tidegate_rollouts"]["running",] == 0
    assert found["tidegate_alerts_open"]["rollout_paused", "critical"] == 0
    assert found["tidegate_agents"] == {("offline",): 0, ("online",): 0}
    assert found["tidegate_assignments_total"]["failed",] == 0
    assert found["tidegate_database_up"] == {(): 1}


async def test_targets_of_an_agent_that_was_revoked_are_not_unwell(db: Database) -> None:
    fleet = await Fleet(db).made()
    await change(db, schema.targets, fleet.target, drift_since=NOON, health="unhealthy", held=True)
    assert set((await scraped(db))["tidegate_targets_unwell"].values()) == {1}
    await change(db, schema.agents, "a1", revoked_at=NOON)
    assert set((await scraped(db))["tidegate_targets_unwell"].values()) == {0}


async def test_targets_of_an_agent_that_was_revoked_run_no_version(db: Database) -> None:
    await Fleet(db).made()
    assert sum((await scraped(db))["tidegate_targets"].values()) == 1
    await change(db, schema.agents, "a1", revoked_at=NOON)
    assert (await scraped(db)).get("tidegate_targets", {}) == {}


async def test_how_assignments_have_ended_stays_counted_when_their_channels_are_taken_away(db: Database) -> None:
    fleet = await Fleet(db).made()
    async with db.write() as conn:
        of = {"repository": "ghcr.io/acme/web", "tag": "2", "policy": {}, "created_at": NOON}
        other = await add(conn, schema.channels, name="ghcr.io/acme/web:2", **of)
    for number, (channel, seconds) in enumerate(((fleet.channel, 4.0), (other, 4.5)), 1):
        rollout = await fleet.add_rollout("completed")
        await change(db, schema.rollouts, rollout, channel_id=channel)
        await fleet.assign(rollout, number, "healthy", duration_s=seconds, open=False)
    before = await scraped(db)
    await change(db, schema.targets, fleet.target, gone_at=NOON)
    for channel in (other, fleet.channel):  # the second is added to what is kept of the first
        async with db.write() as conn:
            await remove_channel(conn, channel)
    after = await scraped(db)
    for name in ("tidegate_assignments_total", "tidegate_assignment_seconds_bucket", "tidegate_assignment_seconds_sum"):
        assert after[name] == before[name]
    assert before["tidegate_assignment_seconds_sum"] == {(): 8.5}


async def test_what_is_there_is_counted(db: Database) -> None:
    fleet = await Fleet(db).made()
    rollout = await fleet.add_rollout("awaiting_approval")
    await fleet.add_rollout("completed", wake_at=NOON)
    await fleet.assign(rollout, 1, "healthy", duration_s=4.0)
    await fleet.assign(rollout, 2, "failed", duration_s=2000.0)
    await fleet.assign(rollout, 3, "healthy")
    await change(db, schema.targets, fleet.target, drift_since=NOON)
    await change(db, schema.agents, "a1", online=True)
    await change(db, schema.channels, fleet.channel, poll_at=NOON.replace(hour=11))
    async with db.write() as conn:
        await fleet.add_target(conn, "old", gone_at=NOON)
        seen = {"channel_id": fleet.channel, "seen_at": NOON, "named_at": NOON, "labels": {}, "configs": {}}
        await add(conn, schema.releases, digest=digest("a"), version="1.4.2", **seen)
    found = await scraped(db)
    assert found["tidegate_rollouts"]["awaiting_approval",] == 1
    assert found["tidegate_targets"] == {("ghcr.io/acme/web:1", "1.4.2"): 1}
    assert found["tidegate_targets_unwell"]["drifted",] == 1
    assert found["tidegate_agents"] == {("offline",): 0, ("online",): 1}
    assert found["tidegate_assignments_total"]["healthy",] == 2
    assert found["tidegate_assignment_seconds_count"] == {(): 2}
    assert found["tidegate_assignment_seconds_sum"] == {(): 2004}
    assert [found["tidegate_assignment_seconds_bucket"][le,] for le in ("2.0", "5.0", "1800.0", "+Inf")] == [0, 1, 1, 2]
    assert found["tidegate_queue_oldest_seconds"]["polls",] == 3600
    assert found["tidegate_queue_length"]["decisions",] == 1


async def test_a_fleet_of_any_size_has_so_many_series_and_no_more(db: Database) -> None:
    fleet = await Fleet(db).made()
    async with db.write() as conn:
        names = [f"ghcr.io/acme/app{number}" for number in range(100)]
        made = [
            {"name": f"{name}:1", "repository": name, "tag": "1", "policy": {}, "created_at": NOON} for name in names
        ]
        ids = (await conn.execute(insert(schema.channels).returning(schema.channels.c.id), made)).scalars().all()
        of = {"cluster_id": fleet.cluster, "seen_at": NOON, "health": "healthy"}
        rows = [
            {"service": f"s{n}", "name": f"t{n}", "channel_id": ids[n % 100], "digest": f"sha256:{n % 1000:064}"} | of
            for n in range(10_000)
        ]
        for row in rows:  # the beginning of a digest is what a label shows
            row["digest"] = f"sha256:{row['digest'][-4:]:0<64}"
        await conn.execute(insert(schema.targets), rows)
    found = await scraped(db)
    assert sum(found["tidegate_targets"].values()) == 10_001
    assert len(found["tidegate_targets"]) <= (MOST_CHANNELS + 1) * (MOST_VERSIONS + 1)
    assert sum(len(samples) for samples in found.values()) < 600


def test_the_largest_keep_their_names() -> None:
    counts: dict[tuple[str, ...], float] = {("big", "a"): 100, ("big", "b"): 1}
    counts.update({("big", f"v{n}"): 2 for n in range(20)})
    counts.update({(f"c{n:02}", "x"): 5 for n in range(40)})
    found = bounded(counts)
    assert found["big", "a"] == 100
    assert found["big", "other"] == 1 + 2 * (20 - (MOST_VERSIONS - 1))
    assert found["other", "other"] == 5 * (40 - (MOST_CHANNELS - 1))
    assert sum(found.values()) == sum(counts.values())


async def test_a_second_scrape_soon_after_asks_the_database_nothing(db: Database) -> None:
    fleet = await Fleet(db).made()
    it = make(db)
    before = read(await it.exposition())
    await fleet.add_rollout("paused")
    assert read(await it.exposition()) == before
    it._standing_at -= 11
    assert read(await it.exposition())["tidegate_rollouts"]["paused",] == 1


async def test_without_its_database_it_tells_that_and_nothing_old() -> None:
    db = Database.at("postgresql://tidegate@127.0.0.1:1/tidegate")
    it = make(db)
    with pytest.raises(StoreUnavailableError):
        async with db.read():
            pass
    found = read(await it.exposition())
    assert found["tidegate_database_up"] == {(): 0}
    assert "tidegate_rollouts" not in found
    assert found["tidegate_database_errors_total"][()] >= 1
    await db.close()


async def test_a_database_that_goes_takes_with_it_all_that_was_told_of_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def away() -> AsyncIterator[None]:
        raise StoreUnavailableError("it is away")
        yield

    it = make(db)
    before = read(await it.exposition())
    it._standing_at -= 11
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(db, "read", away)
        found = read(await it.exposition())
    of_the_database = {name for name in before if name.startswith(("tidegate_rollouts", "tidegate_assignment"))}
    assert len(of_the_database) > 3
    assert (found["tidegate_database_up"], of_the_database & set(found)) == ({(): 0}, set())
    assert set(read(await it.exposition())) == set(before)


async def test_channels_that_are_alike_as_far_as_a_label_goes_are_counted_together(db: Database) -> None:
    await Fleet(db).made()
    async with db.write() as conn:
        cluster = (await conn.execute(select(schema.clusters.c.id))).scalar_one()
        for tag, count in (("one", 2), ("two", 3)):
            name = {"name": f"r/{'x' * 110}:{tag}", "repository": f"r/{'x' * 110}", "tag": tag}
            channel = await add(conn, schema.channels, **name, policy={}, created_at=NOON)
            for each in range(count):
                service = f"{tag}{each}"
                target = {"service": service, "name": f"shop@berlin1/{service}", "digest": digest("a")}
                await add(conn, schema.targets, **target, cluster_id=cluster, channel_id=channel, seen_at=NOON)
    found = (await scraped(db))["tidegate_targets"]
    assert [count for (channel, _), count in found.items() if channel.startswith("r/")] == [5]


async def test_requests_are_counted_by_the_template_of_their_route(people: People) -> None:
    await people.viewer.get("/clusters/none@nowhere")
    for path in ("//one", "//two/three"):
        await people.viewer.get(path)
    got = await people.viewer.get("//metrics")
    assert got.headers["content-type"].startswith("text/plain; version=")
    counts = read(got.text)["tidegate_api_requests_total"]
    assert counts["GET", "/api/v1/clusters/{name}", "404"] >= 1
    assert counts["GET", "other", "404"] >= 2
    assert {route for _, route, _ in counts} & {"/one", "/two/three", "/api/v1/clusters/none@nowhere"} == set()


async def test_metrics_ask_for_a_token_unless_the_settings_say_otherwise(
    people: People, sqlite_template: Path, tmp_path: Path
) -> None:
    assert (await people.nobody.get("//metrics")).status == 401
    url = databases.sqlite_copy(sqlite_template, tmp_path)
    with serving(url, tmp_path, TIDEGATE_METRICS_PUBLIC="true") as manager:
        assert (await _nobody_of(manager, url)).status == 200


async def _nobody_of(manager: Any, url: str) -> Any:
    db = Database.at(url)
    async with people(manager, db) as some:
        got = await some.nobody.get("//metrics")
    await db.close()
    return got
