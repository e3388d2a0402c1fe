"""A real Watchtower as the updater: it is told when, what it has made is proved, and goes back where that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support import watchtower
from tests.support.agent import in_thread
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.fake_manager import FakeManager, fake_manager
from tests.support.features import image_of, one, running, services
from tests.support.images import Pushed
from tests.support.kills import agent_killed_at
from tests.support.managed import Fleet
from tests.support.registry import Registry

from tidegate.agent.watchtower.client import WatchtowerClient, WatchtowerError


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as one_:
        yield one_


@pytest.fixture(scope="session")
def theirs(registry: Registry) -> Pushed:
    """Watchtower's image."""
    return watchtower.image(registry)


class Cluster:
    """A service `web`, and the Watchtower that follows its tag."""

    def __init__(self, fleet: Fleet, push: Push, theirs: Pushed) -> None:
        self.fleet, self.compose, self._push, self._theirs = fleet, fleet.compose, push, theirs
        self.scope = fleet.compose.project

    def up(
        self, labels: dict[str, str] | None = None, more: dict[str, Any] | None = None, **environment: str
    ) -> Pushed:
        """Both, with the first release; `environment` is Watchtower's."""
        first = self.release("1")
        web = one(
            first, labels=watchtower.followed(self.scope) | (labels or {}), restart="unless-stopped", **(more or {})
        )
        self.compose.write(services(web=web, watchtower=watchtower.service(self._theirs, self.scope, **environment)))
        self.compose.up()
        watchtower.wait_for(self.url)
        return first

    def release(self, version: str, **more: Any) -> Pushed:
        """Push a release; the tag names it from now on."""
        return self._push(version, healthcheck=True, **more)

    @property
    def url(self) -> str:
        """Of Watchtower's API."""
        return f"http://{self.compose.address('watchtower', 8080)}"

    @property
    def settings(self) -> dict[str, str]:
        """The agent's."""
        return {
            "TIDEGATE_UPDATE_ENGINE": "watchtower",
            "TIDEGATE_WATCHTOWER": self.url,
            "TIDEGATE_WATCHTOWER_TOKEN": watchtower.TOKEN,
            "WATCHTOWER_LABEL_ENABLE": "true",
            "WATCHTOWER_SCOPE": self.scope,
        }

    def at_work(self, state: Path, **more: str) -> Any:
        """The agent beside them."""
        return self.fleet.at_work(state, **self.settings | more)

    async def killed_at(self, point: str, state: Path, release: Pushed) -> None:
        """An agent that is told to bring a release, and is killed at a point of that."""
        settings = self.settings | self.fleet.environ
        doomed = asyncio.create_task(in_thread(lambda: agent_killed_at(point, state, KEEPS_RUNNING="1", **settings)))
        await self.fleet.until(self.fleet.inventory)
        await self.fleet.assign(release)
        await doomed

    def log(self) -> str:
        """What Watchtower says."""
        return self.compose.run("logs", "watchtower").stdout

    def pinned(self) -> str:
        """The image that `web` was made from, as its container names it."""
        return str(self.compose.container("web")["Config"]["Image"])


@pytest.fixture
async def cluster(manager: FakeManager, compose: Compose, push: Push, theirs: Pushed) -> Cluster:
    return Cluster(await Fleet.of(manager, compose), push, theirs)


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
    old = cluster.up()
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(fleet.inventory)
        new = cluster.release("2")
        await asyncio.sleep(2)  # polling is off, and nothing was assigned
        assert image_of(cluster.compose, "web") == old.image_id
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told() == ["begun", "healthy"])
        await fleet.until(lambda: fleet.inventory()["digest"] == new.digest)
        assert here.last()["outcome"] == "committed"
        await here.parts.watchtower.watch.look()
        assert "\ntidegate_watchtower_containers_updated 1\n" in here.parts.metrics.exposition()
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
        watchtower=watchtower.service(cluster._theirs, cluster.scope),
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


GOOD = ("in:begin", "amid:begin", "at:made", "in:made", "in:replaced", "in:bake", "at:end", "in:end")
BAD = (
    "in:begin",
    "at:made",
    "in:replaced",
    "in:verdict",
    "in:reverse",
    "in:step:create@0-back",
    "at:reversed",
    "in:end",
)


@pytest.mark.parametrize("point", GOOD)
async def test_an_agent_that_is_killed_while_watchtower_is_at_it_proves_what_it_made(
    cluster: Cluster, tmp_path: Path, point: str
) -> None:
    cluster.up()
    new = cluster.release("2")
    await cluster.killed_at(point, tmp_path / "state", new)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["healthy"])
        assert here.parts.state.journal.open_transactions() == []
        assert here.outcomes() == ["committed"]
    assert fleet.told() == ["begun", "healthy"]
    assert (image_of(cluster.compose, "web"), running(cluster.compose, "web")) == (new.image_id, True)


@pytest.mark.parametrize("point", BAD)
async def test_an_agent_that_is_killed_then_puts_a_sick_release_back_all_the_same(
    cluster: Cluster, tmp_path: Path, point: str
) -> None:
    old = cluster.up()
    bad = cluster.release("2", env={"SICK": "1"})
    await cluster.killed_at(point, tmp_path / "state", bad)
    fleet = cluster.fleet
    async with cluster.at_work(tmp_path / "state") as here:
        await fleet.until(lambda: fleet.told()[-1:] == ["failed"])
        assert here.parts.state.journal.open_transactions() == []
        assert fleet.last()["blame"] is True
    assert fleet.told() == ["begun", "failed"]
    assert (image_of(cluster.compose, "web"), cluster.pinned()) == (old.image_id, old.pinned)
    assert running(cluster.compose, "web")


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
