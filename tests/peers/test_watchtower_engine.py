"""A real Watchtower as the updater: it is told when, what it has made is proved, and goes back where that fails."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support import watchtower
from tests.support.compose import PROJECT, SERVICE
from tests.support.docker import docker, inspect
from tests.support.features import image_of, one, running, services, until
from tests.support.recorder import Following
from tests.support.watchtower_cluster import Cluster, free_port, rehearsals

from tidegate.agent.watchtower.client import WatchtowerClient, WatchtowerError
from tidegate.protocol.events import UPDATER_TROUBLE

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
    assert planned["image"] == "containrrr/watchtower:latest"
    assert PLAN.items() <= planned["environment"].items()
    assert planned["command"] == ["--label-enable", "--scope", "autonomy-cluster"]
    assert (planned["container_name"], planned["restart"]) == ("watchtower_orchestrator", "unless-stopped")
    binds = [one for one in planned["volumes"] if one["type"] == "bind"]  # the agent's state is there too, in its place
    assert [(one["source"], one["target"]) for one in binds] == [("/var/run/docker.sock",) * 2]
    assert list(planned["networks"]) == ["vtuber_network"]
    cluster.up()
    client = WatchtowerClient(cluster.url, watchtower.TOKEN)
    counts = await client.counts()
    assert counts.failed == 0
    with pytest.raises(WatchtowerError, match="does not take the token"):
        await WatchtowerClient(cluster.url, "wrong").counts()
    with pytest.raises(WatchtowerError, match=r"cannot be reached \(Connection refused\)"):
        await WatchtowerClient("http://127.0.0.1:1", watchtower.TOKEN).counts()


async def test_of_several_containers_watchtower_replaces_one_after_another(cluster: Cluster) -> None:
    cluster.up(more={"deploy": {"replicas": 2}})
    labels = [f"label={PROJECT}={cluster.compose.project}", f"label={SERVICE}=web"]
    following = Following("type=container", *labels, "event=start", "event=die")
    new = cluster.release("2")
    try:
        await WatchtowerClient(cluster.url, watchtower.TOKEN).update([new.reference])
        await until(lambda: len(following.events) == 4, "both were replaced")
    finally:
        following.close()
    assert [event["Action"] for event in following.events] == ["die", "start"] * 2
    assert {one["Image"] for one in cluster.compose.containers("web")} == {new.image_id}


async def test_without_a_manager_watchtower_looks_by_itself_at_the_interval_that_env_names(cluster: Cluster) -> None:
    planned = dict(watchtower.example(watchtower.FILES[:2], interval_s=1)["services"]["watchtower"]["environment"])
    del planned["WATCHTOWER_HTTP_API_TOKEN"]
    cluster.up(**planned)
    new = cluster.release("2")
    await until(lambda: [one["Image"] for one in cluster.compose.containers("web")] == [new.image_id], "it has looked")


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
    cluster.port = free_port()
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        cluster.compose.run("stop", "watchtower")
        await here.parts.watchtower.watch.look()
        await fleet.until(lambda: fleet.inventory()["reason"].startswith(UPDATER_TROUBLE))
        assert "\ntidegate_watchtower_up 0\n" in here.parts.metrics.exposition()
        await fleet.assign(cluster.release("2"))
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert "cannot be reached" in fleet.last()["reason"]
        assert fleet.last().get("blame") is not True
        cluster.compose.run("start", "watchtower")
        watchtower.wait_for(cluster.url)
        await here.parts.watchtower.watch.look()
        await fleet.until(lambda: fleet.inventory()["reason"] == "")
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


async def test_what_the_engine_would_refuse_to_create_is_not_begun(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    old = cluster.up(more=_with_folder(folder))
    before, fleet = cluster.compose.container("web")["Id"], cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        folder.rmdir()
        new = cluster.release("2")
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert (str(folder) in fleet.last()["reason"], fleet.last()["blame"]) == (True, False)
        assert here.parts.state.journal.peek() == []
        assert (cluster.compose.container("web")["Id"], running(cluster.compose, "web")) == (before, True)
        assert "Found new" not in cluster.log()
        folder.mkdir()
        await fleet.assign(new, generation=2)
        await fleet.until(lambda: fleet.told(generation=2) == ["begun", "healthy"])
    assert (image_of(cluster.compose, "web"), old.image_id == new.image_id) == (new.image_id, False)
    assert rehearsals(cluster.compose) == []


async def test_what_cannot_be_made_anew_is_told_at_once_and_runs_as_soon_as_it_can(
    cluster: Cluster, tmp_path: Path
) -> None:
    folder = tmp_path / "mounted"
    old = cluster.up(more=_with_folder(folder))
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        delegated = here.parts.watchtower.delegated
        really = delegated._client.update

        async def without_folder(images: Any) -> None:
            with contextlib.suppress(FileNotFoundError):  # it is asked whether it is at rest in the same way
                folder.rmdir()
            await really(images)

        delegated._client.update = without_folder
        await fleet.assign(cluster.release("2"))
        await fleet.until(lambda: fleet.told() == ["begun", "failed"])
        assert "Nothing serves there" in fleet.last()["reason"]
        assert (cluster.compose.containers("web"), len(here.parts.state.journal.peek())) == ([], 1)
        delegated._client.update = really
        folder.mkdir()
        await until(lambda: here.parts.state.journal.peek() == [], "it is ended")
        assert (here.outcomes(), fleet.told()) == (["failed"], ["begun", "failed"])
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (old.image_id, True)


def _with_folder(folder: Path) -> dict[str, Any]:
    """A folder that has to be there."""
    folder.mkdir()
    bind = {"type": "bind", "source": str(folder), "target": "/mounted", "bind": {"create_host_path": False}}
    return {"volumes": [bind]}


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
