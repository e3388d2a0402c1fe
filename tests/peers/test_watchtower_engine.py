"""A real Watchtower as the updater: it is told when, what it has made is proved, and goes back where that fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support import watchtower
from tests.support.docker import docker, inspect
from tests.support.features import image_of, one, running, services, until
from tests.support.watchtower_cluster import Cluster

from tidegate.agent.watchtower.client import WatchtowerClient, WatchtowerError

PLAN = {
    "WATCHTOWER_LABEL_ENABLE": "true",
    "WATCHTOWER_INTERVAL": "300",
    "WATCHTOWER_CLEANUP": "true",
    "WATCHTOWER_ROLLING_RESTART": "true",
    "WATCHTOWER_INCLUDE_STOPPED": "false",
    "WATCHTOWER_INCLUDE_RESTARTING": "false",
}


async def test_watchtower_starts_as_the_plan_writes_it_and_answers(cluster: Cluster) -> None:
    planned = watchtower.example()["services"]["watchtower"]
    assert PLAN.items() <= planned["environment"].items()
    assert planned["command"] == ["--label-enable", "--scope", "autonomy-cluster"]
    assert (planned["container_name"], planned["restart"]) == ("watchtower_orchestrator", "unless-stopped")
    assert [(one["source"], one["target"]) for one in planned["volumes"]] == [("/var/run/docker.sock",) * 2]
    assert list(planned["networks"]) == ["vtuber_network"]
    cluster.up()
    client = WatchtowerClient(cluster.url, watchtower.TOKEN)
    counts = await client.counts()
    assert counts.failed == 0
    with pytest.raises(WatchtowerError, match="does not take the token"):
        await WatchtowerClient(cluster.url, "wrong").counts()
    with pytest.raises(WatchtowerError, match=r"cannot be reached \(Connection refused\)"):
        await WatchtowerClient("http://127.0.0.1:1", watchtower.TOKEN).counts()


async def test_what_is_assigned_is_brought_by_watchtower_and_proved(cluster: Cluster, tmp_path: Path) -> None:
    """Nothing moves before, however short Watchtower's interval: the API takes the place of polling."""
    old = cluster.up(WATCHTOWER_POLL_INTERVAL="1")
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        new = cluster.release("2")
        await until(lambda: "Periodic runs are not enabled" in cluster.log(), "Watchtower says that it does not poll")
        await asyncio.sleep(3)
        assert (await WatchtowerClient(cluster.url, watchtower.TOKEN).counts()).scans == 0
        assert image_of(cluster.compose, "web") == old.image_id
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
        await fleet.until(lambda: fleet.inventory().get("digest") == new.digest)
        assert here.last()["outcome"] == "committed"
        await here.parts.watchtower.watch.look()
        assert "\ntidegate_watchtower_containers_updated 1\n" in here.parts.metrics.exposition()
        assert (await WatchtowerClient(cluster.url, watchtower.TOKEN).counts()).scans == 1
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (new.image_id, new.reference)
    assert "Found new" in cluster.log()


async def test_a_release_that_is_sick_goes_back_by_digest_and_watchtower_leaves_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(fleet.inventory)
        bad = cluster.release("2", env={"SICK": "1"})
        await fleet.assign(bad)
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert fleet.last()["blame"] is True
        await fleet.until(lambda: "pinned" in fleet.inventory().get("reason", ""))
        assert (image_of(cluster.compose, "web"), cluster.pinned()) == (old.image_id, old.pinned)
        await WatchtowerClient(cluster.url, watchtower.TOKEN).update([old.reference])
        assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)
        good = cluster.release("3")
        await fleet.assign(good, generation=2)
        await fleet.until(lambda: fleet.told(generation=2) == ["begun", "healthy"])
        await fleet.until(lambda: fleet.inventory().get("reason", "") == "")
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (good.image_id, good.reference)


async def test_a_rollback_that_is_assigned_is_pinned_until_another_release_is(cluster: Cluster, tmp_path: Path) -> None:
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(fleet.inventory)
        new = cluster.release("2")
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told(generation=1) == ["begun", "healthy"])
        await fleet.assign(old, generation=2, back=True)
        await fleet.until(lambda: fleet.told(generation=2) == ["begun", "healthy"])
        assert (image_of(cluster.compose, "web"), cluster.pinned()) == (old.image_id, old.pinned)
        await WatchtowerClient(cluster.url, watchtower.TOKEN).update([old.reference])
        assert image_of(cluster.compose, "web") == old.image_id
        await fleet.assign(new, generation=3)
        await fleet.until(lambda: fleet.told(generation=3) == ["begun", "healthy"])
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (new.image_id, new.reference)
    assert cluster.compose.changes() == []


async def test_a_watchtower_that_is_away_touches_nothing_and_is_told_of(cluster: Cluster, tmp_path: Path) -> None:
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        cluster.compose.run("stop", "watchtower")
        await here.parts.watchtower.watch.look()
        assert "\ntidegate_watchtower_up 0\n" in here.parts.metrics.exposition()
        await fleet.assign(cluster.release("2"))
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert "cannot be reached" in fleet.last()["reason"]
        assert fleet.last().get("blame") is not True
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)


async def test_a_container_that_watchtower_lost_is_made_anew(cluster: Cluster, tmp_path: Path) -> None:
    """It removes the old one first; what it makes then may not come to be."""
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        delegated = here.parts.watchtower.delegated
        really = delegated._client.update

        async def and_lost(images: Any) -> None:
            await really(images)
            docker("rm", "-f", cluster.compose.container("web")["Id"])

        delegated._client.update = and_lost
        await fleet.assign(cluster.release("2"))
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert "made nothing in its place" in fleet.last()["reason"]
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)
    assert cluster.pinned() == old.pinned


async def test_a_watchtower_that_polls_by_itself_is_told_of(cluster: Cluster, tmp_path: Path) -> None:
    cluster.up(WATCHTOWER_HTTP_API_PERIODIC_POLLS="true")
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(lambda: "polls by itself" in fleet.inventory().get("reason", ""))


async def test_another_container_of_the_same_repository_does_not_move_with_it(
    cluster: Cluster, push: Push, tmp_path: Path
) -> None:
    """Watchtower tells images apart by their repository at most, so the agent brings that release itself."""
    cluster.up()
    first, follows = push("1", "other", healthcheck=True), watchtower.followed(cluster.scope)
    document = services(
        web=one(cluster.release("1"), labels=follows),
        other=one(first, labels=follows),
        watchtower=watchtower.service(cluster.theirs, cluster.scope),
    )
    cluster.compose.write(document)
    cluster.compose.up()
    watchtower.wait_for(cluster.url)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(lambda: fleet.inventory("other"))
        push("2", "other", healthcheck=True)  # nobody assigns it
        new = cluster.release("2")
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (new.image_id, new.reference)
    assert image_of(cluster.compose, "other") == first.image_id


async def test_a_one_off_of_the_same_image_does_not_move_with_its_service(cluster: Cluster, tmp_path: Path) -> None:
    """Watchtower would make it anew as well."""
    cluster.up()
    one_off = cluster.compose.run("run", "--detach", "web").stdout.split()[-1]
    before = inspect(one_off)["Id"]
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state"):
        await fleet.until(fleet.inventory)
        new = cluster.release("2")
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
    assert inspect(one_off)["Id"] == before
    assert {one["Image"] for one in cluster.compose.containers("web") if one["Id"] != before} == {new.image_id}


async def test_a_rollback_by_hand_is_pinned_too(cluster: Cluster, tmp_path: Path) -> None:
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        new = cluster.release("2")
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
        done = await here.agent.roll_back({"cluster": cluster.compose.project, "service": "web", "to": None})
        assert done.ok, done.message
        await WatchtowerClient(cluster.url, watchtower.TOKEN).update([old.reference])
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (old.image_id, old.pinned)
